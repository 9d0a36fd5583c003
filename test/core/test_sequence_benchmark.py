"""The benchmark that drives a street in many ways."""

from __future__ import annotations

import json

import pytest

from cerfevpr_core.evaluation.sequences.ways import ways

pytestmark = pytest.mark.usefixtures('cache')


def test_ways_stay_on_their_streets_and_change_where_they_say() -> None:
    for number in (12, 13, 160):
        for way in ways(number):
            assert all(-number <= frame < number for frame in way.frames)
            steps = [b - a for a, b in zip(way.frames, way.frames[1:], strict=False)]
            broken = {n + 1 for n, step in enumerate(steps) if abs(step) > 3}
            if way.name != 'shuffled' and number == 160:
                assert broken - {1, *way.changes} == set(), way.name


@pytest.mark.slow
def test_the_benchmark_says_what_happens_on_every_way(run, tiny, tmp_path) -> None:
    file = tmp_path / 'sequence.json'
    code, told, err = run('bench', 'sequence', '--frames', 12, '--json', file, *tiny)
    assert code == 0, err
    found = {way['name']: way for way in json.loads(file.read_text())['ways']}
    assert set(found) == {way.name for way in ways(12)}
    assert all(name in told for name in found)
    assert found['each three times']['num_images'] == 36
    assert len(found['jumps']['react']) == 2
    assert 0 < found['leaves, comes back']['nowhere_outside'] < 1
    assert all(0 <= way['in_order'] <= 100 for way in found.values())


def test_the_benchmark_refuses_what_it_cannot_drive(fails) -> None:
    assert '--frames 3: expected 12 or more' in fails('bench', 'sequence', '--frames', 3)
    assert '--width-px 4: expected 16 to 320' in fails('bench', 'sequence', '--width-px', 4)

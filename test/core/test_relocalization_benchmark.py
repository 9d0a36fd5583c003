"""The relocalization benchmark: its figures, its tables, and `cerfevpr bench relocalization`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image as PilImage
from scenes import write_scene

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.evaluation.relocalization.figure import write_figure
from cerfevpr_core.evaluation.relocalization.orb import EvenOrbDetector, evenly_spread
from cerfevpr_core.evaluation.relocalization.result import Answer, Benchmark, Row, figures
from cerfevpr_core.evaluation.relocalization.tables import (
    by_condition,
    gain_of_regions,
    near_map,
    overall,
)
from cerfevpr_core.verification.detectors import OpenCvDetector

pytestmark = pytest.mark.usefixtures('cache')


def answer(error: tuple[float, float] | None, found: bool = True, near: bool = True) -> Answer:
    return Answer('query', ['keyframe'], found, near, error, 10.0)


def benchmark(*rows: tuple[str, str, str]) -> Benchmark:
    answers = {
        'night': [answer(None, found=False), answer((0.1, 1.0))],
        'rain': [answer((1.0, 2.0), near=False), answer((0.1, 1.0))],
    }
    made = [Row(*names, answers) for names in rows]
    return Benchmark('street', 3, 2, 'within 5 m', 100, 'lln', made)


def test_figures_worked_by_hand():
    answers = [
        answer((0.1, 1.0)),
        answer((0.2, 4.9), found=False),
        answer((0.25, 1.0)),
        answer((0.1, 5.0)),
        answer(None, found=False, near=False),
    ]
    found = figures(answers)
    assert (found.num_queries, found.success, found.ceiling, found.wrong) == (5, 40, 60, 40)
    assert (found.num_near, found.success_near) == (4, 50)
    assert found.median_error_m == pytest.approx(0.15)
    assert found.median_error_deg == pytest.approx(2.95)


def test_figures_without_any_pose():
    found = figures([answer(None, near=False)])
    assert found.median_error_m is None and found.success_near is None
    assert (found.success, found.wrong, found.num_near) == (0, 0, 0)


def test_tables_say_what_each_combination_reached():
    made = benchmark(('words', 'words', 'orb'), ('landmarks', 'regions', 'orb'))
    assert overall(made).rows[0][:6] == ['words', 'words', 'orb', '50.0', '75.0', '25.0']
    table = by_condition(made)
    assert table.columns[3:] == ['night', 'rain']
    assert [row[0] for row in table.rows] == ['words', 'words', 'landmarks', 'landmarks']
    assert table.rows[1] == ['words', 'ceiling', '', '50.0', '100.0']
    near = near_map(made)
    assert near is not None and near.rows[0][3:] == ['3', '66.7']
    heading, rule, *_ = near.lines()
    assert len(heading) == len(rule)
    assert rule.endswith('-: |')


def test_the_gain_of_regions_is_counted_query_by_query():
    made = benchmark(('words', 'regions', 'orb'), ('words', 'anywhere', 'orb'))
    better, worse = made.rows
    worse.answers['night'][1] = answer(None)  # both rows share their answers
    answers = {'night': [answer((0.1, 1.0)), answer((0.1, 1.0))], 'rain': worse.answers['rain']}
    made.rows[0] = Row(better.candidates, better.matching, better.keypoints, answers)
    # Of four queries two are located by regions alone: 50 %, give or take sqrt(2 - 1) / 4.
    expected = ['words', 'anywhere', 'orb', '2', '0', '+50.0', '25.0']
    assert gain_of_regions(made).rows == [expected]


def test_the_figure_has_a_panel_for_each_kind_of_keypoints(tmp_path):
    rows = [('words', 'words', 'orb'), ('landmarks', 'regions', 'orb')]
    write_figure(benchmark(*rows), tmp_path / 'one.png')
    write_figure(benchmark(*rows, ('landmarks', 'anywhere', 'sift')), tmp_path / 'two.png')
    one, two = (PilImage.open(tmp_path / f'{name}.png').size for name in ('one', 'two'))
    assert one[0] == two[0] and one[1] < two[1]


def test_keypoints_are_taken_from_every_cell_before_any_gives_a_second():
    strongest_first = np.array([[1, 1], [2, 2], [3, 3], [11, 1], [1, 11], [12, 2]], np.float32)
    assert evenly_spread(strongest_first, 10.0).tolist() == [0, 3, 4, 1, 5, 2]
    assert evenly_spread(np.zeros((0, 2), np.float32), 10.0).tolist() == []


def test_even_keypoints_cover_what_the_strongest_leave_out():
    image = np.full((240, 320, 3), 128, np.uint8)
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 2, (30, 40, 1), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    image += 8 * blocks  # weak corners everywhere
    image[:120, :80] = 255 * blocks[:120, :80]  # strong ones in an eighth
    config = VerificationConfig(detector='orb', num_keypoints=300)
    even = EvenOrbDetector(config).detect(image)
    strongest = OpenCvDetector(config, 'orb').detect(image)
    inside, crowded = (
        ((k.positions_px < [80, 120]).all(axis=1)).mean() for k in (even, strongest)
    )
    assert len(even) == len(even.descriptors) == len(even.points_m) == 300
    assert inside < 0.5 < 0.9 < crowded


@pytest.fixture
def seen_twice(tmp_path):
    """Four places, and again two of them."""
    return write_scene(tmp_path / 'scene', [0, 1, 2, 3, 1, 2, 7, 8], every=1)


def test_the_command_finds_what_it_has_seen(run, seen_twice, tiny, tmp_path):
    file, report = tmp_path / 'figures.json', tmp_path / 'report'
    given = ['--images', seen_twice, '--keypoints', 'orb,sift', '--json', file, '--report', report]
    given += [*tiny, '--set', 'landmarks.selection=act']
    code, told, _ = run('bench', 'relocalization', *given)
    assert code == 0
    assert '2 of 4 queries have one in the map' in told and 'landmarks selected by act' in told
    figures = json.loads(file.read_text())
    assert figures['success'] == 'a pose within 0.25 m and 5 degrees'
    assert figures['correct_keyframe'] == 'within 0.7 m and 30 degrees'
    expected = [('words', 'orb'), ('regions', 'orb'), ('anywhere', 'orb')]
    expected += [('regions', 'sift'), ('anywhere', 'sift')]
    rows = figures['rows']
    combinations = [(row['matching'], row['keypoints']) for row in rows]
    assert combinations == 2 * expected
    assert [row['candidates'] for row in rows] == ['words'] * 5 + ['landmarks'] * 5
    for row in rows:
        assert row['all'] == row['conditions']['second half']
        assert (row['all']['num_near'], row['all']['success_near']) == (2, 100)
        assert row['all']['success'] == row['all']['ceiling'] == 50
        assert row['all']['wrong'] == 0
        assert 'frame-000005' in row['queries'][0]['candidates']
        assert row['queries'][0]['error'][0] < 0.01
    page = (report / 'relocalization.md').read_text()
    assert '(relocalization.png)' in page and 'landmarks.selection' in page
    assert PilImage.open(report / 'relocalization.png').size[0] > 500


def test_the_command_asks_some_of_the_queries_only(run, seen_twice, tiny, tmp_path):
    file = tmp_path / 'figures.json'
    given = ['--images', seen_twice, '--every', 3, '--keypoints', 'orb', '--json', file, *tiny]
    code, _, err = run('bench', 'relocalization', *given)
    assert code == 0
    assert 'no network selects landmarks; those of the strongest features are used' in err
    rows = json.loads(file.read_text())['rows']
    assert [q['query'] for q in rows[0]['queries']] == ['frame-000020', 'frame-000035']


def test_the_command_refuses_what_it_cannot_use(fails, seen_twice, tmp_path):
    command = ['bench', 'relocalization']
    assert fails(*command, '--keypoints', 'surf') == (
        '--keypoints surf: expected some of orb, sift, xfeat'
    )
    assert fails(*command, '--every', 0) == '--every 0: expected 1 or more'
    text = fails(*command, '--images', seen_twice, '--seed', 1)
    assert text == '--seed and --frames are of the drawn route; leave out --images or them'
    assert 'has no camera-intrinsics.txt' in fails(*command, '--images', tmp_path)

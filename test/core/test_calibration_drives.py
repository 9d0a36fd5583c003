"""Calibration of images in order: the belief of drives through a map counts too."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from samples import assignments, random_map, tiny_settings, write_pictures
from test_calibration import made_up

from cerfevpr_core.calibration.drives import PartOfMap, drives_of
from cerfevpr_core.calibration.examples import Example
from cerfevpr_core.calibration.fit import fit_calibration
from cerfevpr_core.calibration.model import Calibration
from cerfevpr_core.calibration.same_place import SamePlace
from cerfevpr_core.geometry import Pose
from cerfevpr_core.place_map import Candidate, PlaceMap

pytestmark = pytest.mark.usefixtures('cache')


def along(number: int, **more: object) -> list[Candidate]:
    return [Candidate(1 + i, f'{i}', 0.0, **more) for i in range(number)]


def drives_made_up(number: int, seed: int) -> list[Example]:
    rng = np.random.default_rng(seed)
    return [
        replace(e, features=e.features | {'belief': rng.normal(3.0 if e.right else -3.0, 2)})
        for e in made_up(number, seed)
    ]


def test_drives_are_tens_of_keyframes_in_order_spread_over_the_map():
    drives = drives_of(along(100), 40)
    assert [len(drive) for drive in drives] == [10] * 4
    ids = [[k.keyframe_id for k in drive] for drive in drives]
    assert all(np.array_equal(np.diff(each), [1] * 9) for each in ids)
    assert (ids[0][0], ids[-1][-1]) == (1, 100)


def test_no_drive_leads_from_one_traverse_to_another_or_across_a_gap():
    day, night = along(12, traverse='day'), along(12, traverse='night')
    assert all(len({k.traverse for k in d}) == 1 for d in drives_of(day + night, 80))
    far = [Pose((x, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)) for x in (*range(8), *range(1000, 1008))]
    apart = [replace(k, pose=pose) for k, pose in zip(along(16), far, strict=True)]
    assert [len(drive) for drive in drives_of(apart, 80)] == [8, 8]


def test_a_few_keyframes_are_no_drive():
    assert drives_of(along(4), 80) == []


def test_a_part_of_a_map_lacks_what_is_left_out_and_knows_nothing_of_what_is_hidden(tmp_path):
    vectors = random_map(tmp_path / 'm', 20)
    with PlaceMap.open(tmp_path / 'm') as place_map:
        ids = [k.keyframe_id for k in place_map.store.everything()]
        part = PartOfMap(place_map, set(ids[:5]))
        part.hidden = {ids[7]}
        found, similarities = part.similarities(vectors[9])
        assert len(part) == 15 and found.tolist() == ids[5:]
        assert [k.keyframe_id for k in part.everything()] == ids[5:]
        assert np.isnan(similarities).tolist() == [i == ids[7] for i in ids[5:]]
        assert np.nanargmax(similarities) == 9 - 5


def test_a_candidate_with_a_belief_is_judged_by_drives_and_one_without_by_itself():
    made = fit_calibration(made_up(200, 0), SamePlace(), drives_made_up(200, 1))
    assert 'belief' in made.followed[0].names
    assert all('belief' not in model.names for model in made.models)
    alone = [Candidate(1, 'a', 0.5), Candidate(40, 'b', 0.45)]
    likely = [
        made.probability(replace(alone[0], belief=belief), alone)
        for belief in (None, 0.001, 0.5, 0.999)
    ]
    assert likely[0] == made.models[0].probability(
        {'similarity': 0.5, 'similarity_margin': alone[0].similarity - 0.45}
    )
    assert likely[1] < likely[2] < likely[3]


def test_without_drives_a_belief_changes_nothing():
    made = fit_calibration(made_up(200, 0), SamePlace(), [])
    alone = [Candidate(1, 'a', 0.5), Candidate(40, 'b', 0.45)]
    sure = replace(alone[0], belief=0.99)
    assert made.followed == ()
    assert made.probability(sure, alone) == made.probability(alone[0], alone)


def test_drives_survive_as_bytes_and_older_bytes_have_none():
    made = fit_calibration(made_up(200, 0), SamePlace(), drives_made_up(200, 1))
    assert Calibration.from_bytes(made.to_bytes()) == made
    older = json.loads(made.to_bytes())
    del older['followed']
    read = Calibration.from_bytes(json.dumps(older).encode())
    assert read.followed == () and read.models == made.models


@pytest.fixture
def forty(run, weights, tmp_path):
    """A map of forty pictures that is not calibrated yet."""
    write_pictures(tmp_path / 'route', range(40))
    more = {'map.thumbnail_px': 96, 'decision.calibrate': 'never'}
    settings = assignments(tiny_settings(weights) | more)
    folder = tmp_path / 'map'
    assert run('map', 'build', '--images', tmp_path / 'route', '--out', folder, *settings)[0] == 0
    return folder


def calibration_of(folder) -> Calibration:
    with PlaceMap.open(folder) as place_map:
        return Calibration.from_bytes(place_map.calibration())


def test_images_in_order_are_surer_of_a_place_than_each_by_itself(run, forty, tmp_path):
    code, told, _ = run('map', 'calibrate', forty)
    assert code == 0 and 'of images in order 0.' in told
    said = {}
    for name, how in (('in order', []), ('alone', ['--unordered'])):
        file = tmp_path / f'{name}.json'
        assert run('localize', forty, '--images', tmp_path / 'route', '--json', file, *how)[0] == 0
        images = json.loads(file.read_text())['images']
        said[name] = [each['candidates'][0]['probability'] for each in images[10:]]
    assert np.median(said['in order']) > np.median(said['alone'])


def test_a_map_that_is_never_followed_is_calibrated_for_single_images_alone(run, forty):
    code, told, _ = run('map', 'calibrate', forty, '--set', 'sequence.mode=never')
    assert code == 0 and 'in order' not in told
    assert calibration_of(forty).followed == ()


def test_the_benchmark_follows_images_over_all_folders(run, fails, forty, tmp_path):
    assert run('map', 'calibrate', forty)[0] == 0
    write_pictures(tmp_path / 'elsewhere', range(500, 520))
    arguments = [
        'bench', 'decisions', forty, '--queries', tmp_path / 'route',
        '--elsewhere', tmp_path / 'elsewhere', '--followed',
    ]  # fmt: skip
    beliefs = {}
    for how in ([], ['--followed']):
        file = tmp_path / f'{len(how)}.json'
        assert run(*arguments[:7], *how, '--json', file)[0] == 0
        inside = json.loads(file.read_text())['asked'][0]['answers']
        beliefs[len(how)] = [each['probability'] for each in inside]
    assert beliefs[0] != beliefs[1]
    told = fails(*arguments, '--set', 'sequence.mode=never')
    assert 'sequence.mode=never' in told

"""Keyframes are removed, their poses change, and they are found by another system's id."""

from __future__ import annotations

import numpy as np
import pytest
from maps import DIM, KINDS, answers, created, refused
from samples import keyframes, unit_vectors

from cerfevpr_core.geometry import Pose
from cerfevpr_core.place_map import Keyframe, PlaceMap

POSES = [Pose((float(i), 2.0, 3.0), (0.0, 0.0, 0.6, 0.8)) for i in range(9)]


@pytest.mark.parametrize('kind', KINDS)
def test_a_removed_keyframe_is_never_found_again(tmp_path, kind):
    vectors = unit_vectors(40)
    with created(tmp_path / 'map', kind) as place_map:
        place_map.add(keyframes(vectors))
        place_map.remove([3, 8])
        assert len(place_map) == 38
        assert not {3, 8} & {c.keyframe_id for c in place_map.search(vectors[2], 100)}
        place_map.remove(list(range(10, 40)))  # so many that the index is built anew
        expected = [1, 2, 4, 5, 6, 7, 9, 40]
        assert sorted(c.keyframe_id for c in place_map.search(vectors[0], 100)) == expected
        assert place_map.add(keyframes(vectors[2:3])) == [41]  # no id is used twice
        assert place_map.search(vectors[2], 1)[0].keyframe_id == 41
        before = answers(place_map)
    with PlaceMap.open(tmp_path / 'map', kind) as place_map:
        assert answers(place_map) == before and place_map.check() == []


def test_all_that_belongs_to_a_removed_keyframe_goes_with_it(tmp_path):
    with created(tmp_path / 'map') as place_map:
        many = Keyframe('a', unit_vectors(3), '7', local_features={'landmarks': b'x'})
        place_map.add([many, *keyframes(unit_vectors(1, seed=2))])
        place_map.remove([1])
        count = 'SELECT (SELECT COUNT(*) FROM descriptors), (SELECT COUNT(*) FROM local_features)'
        assert place_map.store.connection.execute(count).fetchone() == (1, 0)
        assert place_map.store.local_features('landmarks', [1]) == [None]
        assert place_map.find('7') is None
        place_map.add([many])  # its external id is free again
        assert place_map.find('7') == 3


def test_removing_an_unknown_keyframe_removes_none(tmp_path):
    with created(tmp_path / 'map') as place_map:
        place_map.add(keyframes(unit_vectors(3)))
        before = answers(place_map)
        assert 'has no keyframe 9; nothing changed' in refused(place_map.remove, [1, 9])
        assert 'has no keyframe 0, -5, 9' in refused(place_map.remove, [1, 0, -5, 9])
        assert 'named twice; nothing changed' in refused(place_map.remove, [1, 1])
        assert 'cannot hold this' in refused(place_map.remove, [1, 2**70])
        place_map.remove([])
        assert len(place_map) == 3 and answers(place_map) == before


def test_poses_change_together_and_come_with_the_next_answer(tmp_path):
    vectors = unit_vectors(3)
    with created(tmp_path / 'map') as place_map:
        place_map.add(keyframes(vectors, pose=POSES[0]))
        place_map.update_poses(np.array([3, 1]), [POSES[3], POSES[1]])
        found = {c.keyframe_id: c.pose for c in place_map.search(vectors[0], 3)}
        assert found == {1: POSES[1], 2: POSES[0], 3: POSES[3]}
        before = answers(place_map)
    with PlaceMap.open(tmp_path / 'map') as place_map:
        assert [c.pose for c in place_map.store.everything()] == [POSES[1], POSES[0], POSES[3]]
        assert answers(place_map) == before and place_map.check() == []


@pytest.mark.parametrize(
    ('ids', 'wrong', 'expected'),
    [
        ([1, 9], POSES[2], 'has no keyframe 9'),
        ([1, 1], POSES[2], 'named twice'),
        ([1], POSES[2], '1 keyframes and 2 poses'),
        ([1, 2], Pose((np.nan, 0, 0), (0, 0, 0, 1)), 'the pose of keyframe 2 is (nan, 0, 0)'),
        ([1, 2], Pose((np.inf, 0, 0), (0, 0, 0, 1)), 'expected finite numbers'),
        ([1, 2], Pose((0, 0, 0), (0, 0, 0, 0)), 'of length 1, found 0'),
        ([1, 2], Pose((0, 0, 0), (0, 0, 0, 1.01)), 'of length 1, found 1.01'),
        ([1, 2], Pose((0, 0, 0), (0, np.nan, 0, 1)), 'found nan'),
    ],
)
def test_one_wrong_pose_changes_none(tmp_path, ids, wrong, expected):
    with created(tmp_path / 'map') as place_map:
        place_map.add(keyframes(unit_vectors(3), pose=POSES[0]))
        assert expected in refused(place_map.update_poses, ids, [POSES[1], wrong])
        assert [c.pose for c in place_map.store.everything()] == [POSES[0]] * 3


def test_a_keyframe_with_a_pose_that_is_none_is_refused(tmp_path):
    wrong = Pose((0, 0, np.nan), (0, 0, 0, 1))
    with created(tmp_path / 'map') as place_map:
        batch = [*keyframes(unit_vectors(2)), Keyframe('b.jpg', unit_vectors(1), pose=wrong)]
        assert 'the pose of b.jpg is (0, 0, nan)' in refused(place_map.add, batch)
        none = Keyframe('c.jpg', np.zeros((0, DIM), np.float32))
        assert 'c.jpg has no descriptor' in refused(place_map.add, [none])
        assert len(place_map) == 0


@pytest.mark.parametrize('more', [{'stamp_ns': 2**63}, {'external_id': '\ud800'}])
def test_what_the_file_cannot_hold_is_refused_and_nothing_is_added(tmp_path, more):
    with created(tmp_path / 'map') as place_map:
        text = refused(place_map.add, keyframes(unit_vectors(1), **more))
        assert 'cannot hold this' in text and 'nothing changed' in text
        assert len(place_map) == 0
        assert place_map.add(keyframes(unit_vectors(1))) == [1]


def test_a_keyframe_is_found_by_the_id_of_another_system(tmp_path):
    with created(tmp_path / 'map') as place_map:
        place_map.add([Keyframe('a', unit_vectors(1), 'kf:7'), Keyframe('b', unit_vectors(1))])
        assert place_map.find('kf:7') == 1
        assert place_map.find('KF:7') is None and place_map.find('') is None

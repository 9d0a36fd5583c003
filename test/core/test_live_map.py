"""A map that grows one image at a time."""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from cerfevpr_core.data.drawn_route import DEFAULT_CAMERA, DrawnRoute
from cerfevpr_core.errors import ImageError, MapError
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.keyframe_maker import Shot
from cerfevpr_core.keyframe_policy import Moment
from cerfevpr_core.live_map import LiveMapper
from cerfevpr_core.recognizer import PlaceRecognizer

SETTINGS = {'method': 'grid', 'verification.detector': 'orb', 'verification.min_inliers': 8}
S = 1_000_000_000


@pytest.fixture(scope='module')
def shots() -> list[Shot]:
    """Six images of a drawn street with poses and depth, a second apart."""
    route = DrawnRoute(1, 6)
    frames = [route.frame(number, 'summer') for number in range(6)]
    return [
        Shot(frame.image, (1000 + i) * S, frame.pose, DEFAULT_CAMERA, frame.depth_m)
        for i, frame in enumerate(frames)
    ]


@pytest.fixture
def mapper(tmp_path: Path):
    mapper = LiveMapper.load(tmp_path / 'map', overrides=SETTINGS)
    yield mapper
    mapper.close()


def test_an_empty_map_is_made_and_what_was_added_is_there_when_it_is_opened_again(
    tmp_path: Path, shots: list[Shot]
) -> None:
    folder = tmp_path / 'new' / 'map'
    mapper = LiveMapper.load(folder, overrides=SETTINGS)
    assert len(mapper.place_map) == 0
    ids = [mapper.add(shot, 'day', f'kf{i}').keyframe_id for i, shot in enumerate(shots[:3])]
    mapper.close()
    again = LiveMapper.load(folder)  # its settings are those of the map
    assert again.config.method == 'grid'
    ids.append(again.add(shots[3], 'night').keyframe_id)
    kept = again.place_map.store.everything()
    again.close()
    assert [c.keyframe_id for c in kept] == ids
    assert [(c.traverse, c.external_id) for c in kept] == [
        ('day', 'kf0'),
        ('day', 'kf1'),
        ('day', 'kf2'),
        ('night', ''),
    ]
    assert [c.stamp_ns for c in kept] == [shot.stamp_ns for shot in shots[:4]]
    assert kept[0].pose == shots[0].pose


def test_a_keyframe_with_depth_gives_a_pose_to_who_asks_afterwards(
    tmp_path: Path, shots: list[Shot]
) -> None:
    mapper = LiveMapper.load(tmp_path / 'map', overrides=SETTINGS)
    added = [mapper.add(shot) for shot in shots]
    mapper.close()
    assert all(a.keyframe is not None and a.keyframe.has_points for a in added)
    recognizer = PlaceRecognizer.load(tmp_path / 'map')
    found = recognizer.recognize(shots[2].image, camera=DEFAULT_CAMERA)
    recognizer.close()
    assert found.candidates[0].keyframe_id == added[2].keyframe_id
    assert found.pose is not None and shots[2].pose is not None
    assert math.dist(found.pose.pose.position_m, shots[2].pose.position_m) < 0.1


def test_who_localizes_in_an_empty_map_finds_what_is_added_meanwhile(
    tmp_path: Path, shots: list[Shot]
) -> None:
    mapper = LiveMapper.load(tmp_path / 'map', overrides=SETTINGS)
    recognizer = PlaceRecognizer.load(tmp_path / 'map', may_be_empty=True)
    nothing = recognizer.recognize(shots[0].image, camera=DEFAULT_CAMERA)
    assert (nothing.decision, nothing.candidates, nothing.pose) == (0, [], None)
    for shot in shots[:3]:
        added = mapper.add(shot)
        found = recognizer.recognize(shot.image, camera=DEFAULT_CAMERA)
        assert found.candidates[0].keyframe_id == added.keyframe_id
        assert len(found.candidates) == added.keyframe_id
    recognizer.close()
    mapper.close()
    with pytest.raises(MapError, match='is empty'):
        LiveMapper.load(tmp_path / 'other', overrides=SETTINGS).close()
        PlaceRecognizer.load(tmp_path / 'other')


def test_the_policy_counts_from_whatever_was_added_last(
    mapper: LiveMapper, shots: list[Shot]
) -> None:
    here = Moment(shots[0].stamp_ns, shots[0].pose)
    assert mapper.reason_against(here) == ''
    mapper.add(shots[0], external_id='asked for')
    assert 'from the last keyframe' in mapper.reason_against(here)


def test_the_same_request_again_adds_nothing_and_another_image_under_its_id_is_refused(
    mapper: LiveMapper, shots: list[Shot]
) -> None:
    first = mapper.add(shots[0], 'day', '7')
    again = mapper.add(shots[0], 'day', '7')
    assert (again.keyframe_id, again.keyframe) == (first.keyframe_id, None)
    for shot, traverse in ((shots[1], 'day'), (shots[0], 'night')):
        with pytest.raises(MapError, match="has the external_id '7' already"):
            mapper.add(shot, traverse, '7')
    assert len(mapper.place_map) == 1


@pytest.mark.parametrize(
    'pose',
    [
        Pose((math.nan, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
        Pose((math.inf, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
        Pose((1e300, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)),
        Pose((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)),
        Pose((0.0, 0.0, 0.0), (0.0, 0.0, math.nan, 1.0)),
    ],
)
def test_a_pose_that_cannot_be_is_refused_for_an_image_and_for_an_update(
    mapper: LiveMapper, shots: list[Shot], pose: Pose
) -> None:
    with pytest.raises(MapError, match='a pose has'):
        mapper.add(Shot(shots[0].image, 5, pose))
    known = mapper.add(shots[0]).keyframe_id
    with pytest.raises(MapError, match='a pose has'):
        mapper.update_poses([known], [pose])
    assert mapper.place_map.store.everything()[0].pose == shots[0].pose


def test_texts_that_are_long_or_unprintable_are_refused(
    mapper: LiveMapper, shots: list[Shot]
) -> None:
    for text in ('x' * 10_000_000, 'a\nb', 'a\0b'):
        with pytest.raises(MapError) as error:
            mapper.add(shots[0], external_id=text)
        assert len(str(error.value)) < 300
        with pytest.raises(MapError):
            mapper.add(shots[0], traverse=text)
    assert len(mapper.place_map) == 0


def test_an_empty_image_is_refused_and_the_next_one_is_added(
    mapper: LiveMapper, shots: list[Shot]
) -> None:
    with pytest.raises(ImageError):
        mapper.add(Shot(np.zeros((0, 0, 3), np.uint8)))
    assert mapper.add(shots[0]).keyframe_id


def test_poses_change_together_or_not_at_all(mapper: LiveMapper, shots: list[Shot]) -> None:
    ids = [mapper.add(shot).keyframe_id for shot in shots[:2]]
    moved = [Pose((1.0, 2.0, 3.0), (0.0, 0.0, 0.0, 1.0))] * 2
    for wrong in ([ids[0], 999], [ids[0]], [ids[0], ids[1], 3], [ids[0], ids[0]]):
        with pytest.raises(MapError):
            mapper.update_poses(wrong, moved)
    kept = [c.pose for c in mapper.place_map.store.everything()]
    assert kept == [shots[0].pose, shots[1].pose]
    mapper.update_poses(ids, moved)
    assert [c.pose for c in mapper.place_map.store.everything()] == moved


def test_a_keyframe_is_removed_by_either_id(mapper: LiveMapper, shots: list[Shot]) -> None:
    first, second = mapper.add(shots[0], external_id='a'), mapper.add(shots[1])
    assert mapper.remove(0, 'a') == first.keyframe_id
    assert mapper.remove(second.keyframe_id) == second.keyframe_id
    for number, external_id in ((0, 'a'), (second.keyframe_id, ''), (-1, ''), (2**62, '')):
        with pytest.raises(MapError):
            mapper.remove(number, external_id)
    assert len(mapper.place_map) == 0


def test_a_camera_of_another_size_is_left_out_and_said_once(
    mapper: LiveMapper, shots: list[Shot], caplog: pytest.LogCaptureFixture
) -> None:
    other = Camera(100, 80, 90.0, 90.0, 50.0, 40.0)
    with caplog.at_level(logging.WARNING):
        for shot in shots[:3]:
            mapper.add(Shot(shot.image, shot.stamp_ns, shot.pose, other, shot.depth_m))
    kept = mapper.place_map.store.cameras([1, 2, 3])
    assert kept == [None, None, None]
    assert caplog.text.count('is calibrated for 100 x 80 pixels') == 1


def test_a_map_that_is_removed_underneath_is_told_at_the_next_image(
    tmp_path: Path, shots: list[Shot]
) -> None:
    mapper = LiveMapper.load(tmp_path / 'map', overrides=SETTINGS)
    mapper.add(shots[0])
    shutil.rmtree(tmp_path / 'map')
    for _ in range(2):
        with pytest.raises(MapError, match='was removed or moved'):
            mapper.add(shots[1])
    mapper.close()
    assert not (tmp_path / 'map').exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / 'photos').mkdir()
    (tmp_path / 'photos' / 'cat.jpg').touch()
    with pytest.raises(MapError, match='holds files but no map'):
        LiveMapper.load(tmp_path / 'photos', overrides=SETTINGS)
    with pytest.raises(MapError, match='no map at'):
        LiveMapper.load(tmp_path / 'nothing', create=False)
    assert not (tmp_path / 'nothing').exists()


def test_settings_of_another_model_than_the_maps_are_refused(tmp_path: Path) -> None:
    LiveMapper.load(tmp_path / 'map', overrides=SETTINGS).close()
    with pytest.raises(MapError, match='method is gem, the map has grid'):
        LiveMapper.load(tmp_path / 'map', overrides={'method': 'gem'})

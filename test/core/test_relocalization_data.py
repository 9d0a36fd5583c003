"""Maps and queries with known poses: the drawn route and 7-Scenes."""

from __future__ import annotations

import numpy as np
import pytest
from samples import error_of
from scenes import write_scene, write_small_frame

from cerfevpr_core.data.relocalization import (
    Nearby,
    PosedFrame,
    drawn_relocalization,
    pose_error,
    seven_scenes_relocalization,
    some,
)
from cerfevpr_core.data.relocalization.depth import depth_seen_by
from cerfevpr_core.errors import ConfigError, ImageError
from cerfevpr_core.geometry import Camera, Pose

UNTURNED = (0.0, 0.0, 0.0, 1.0)


def turned(degrees: float) -> Pose:
    half = np.radians(degrees) / 2
    return Pose((0, 0, 0), (0.0, float(np.sin(half)), 0.0, float(np.cos(half))))


def test_errors_of_poses_worked_by_hand():
    assert pose_error(Pose((0, 0, 0), UNTURNED), Pose((3, 4, 0), UNTURNED)) == (5, 0)
    assert pose_error(turned(10), turned(-25)) == pytest.approx((0, 35))
    flipped = Pose((0, 0, 0), (0.0, 0.0, 0.0, -1.0))  # the same rotation
    assert pose_error(turned(0), flipped) == (0, 0)


def test_right_keyframes_are_near_and_look_the_same_way():
    keyframes = [Pose((1, 0, 0), UNTURNED), Pose((1.1, 0, 0), UNTURNED), turned(30), turned(31)]
    right = Nearby(1.0, 30.0).right(turned(0), keyframes)
    assert right.tolist() == [True, False, True, False]


def test_the_drawn_route_gives_every_condition_from_both_viewpoints():
    data = drawn_relocalization(seed=3, num_frames=2)
    assert len(data.queries) == 7 and 'summer, centre' not in data.queries
    first = data.keyframes.frame(0)
    assert first.depth_m is not None and first.depth_m.shape == first.image.shape[:2]
    shifted = data.queries['night, shifted'].frame(0)
    assert shifted.depth_m is None and shifted.name == 'night-shifted/000000'
    assert pose_error(first.pose, shifted.pose) == pytest.approx((1.5, 5))
    assert (
        data.nearby.right(shifted.pose, [f.pose for f in some(data.keyframes)]).tolist()
        == [True] * 2
    )


def test_depth_moves_with_the_camera_and_the_nearest_hides_the_rest():
    camera = Camera(4, 1, 1.0, 1.0, 0.0, 0.0)
    depth = np.array([[1, 2, np.nan, 2]], np.float32)  # x of 0, 2, -, 6 metres
    moved = np.eye(4)
    assert np.array_equal(depth_seen_by(camera, depth, camera, moved), depth, equal_nan=True)
    moved[0, 3] = 2  # x of 2, 4, -, 8 metres: pixels 2, 2, -, 4
    expected = [[np.nan, np.nan, 1, np.nan]]
    assert np.array_equal(depth_seen_by(camera, depth, camera, moved), expected, equal_nan=True)
    moved[:3, 3] = 0, 0, -5
    assert np.isnan(depth_seen_by(camera, depth, camera, moved)).all()  # all behind it


def test_a_scene_is_split_in_halves(tmp_path):
    data = seven_scenes_relocalization(write_scene(tmp_path / 'scene'))
    assert [f.name for f in some(data.keyframes)] == ['frame-000000', 'frame-000005']
    (queries,) = data.queries.values()
    assert [f.name for f in some(queries, [1])] == ['frame-000015']
    assert len(data.keyframes) == len(queries) == 2


def test_depth_of_a_scene_lies_in_the_colour_camera(tmp_path):
    data = seven_scenes_relocalization(write_scene(tmp_path / 'scene'))
    with_depth, without = some(data.keyframes)
    assert isinstance(with_depth, PosedFrame) and without.depth_m is None
    assert with_depth.pose.position_m == pytest.approx((0.025, 0, 0))
    depth = with_depth.depth_m
    assert depth is not None and depth.shape == (480, 640)
    assert depth[240, 320] == 2
    # Its focal length is shorter: the depth camera's picture ends inside the colour camera's.
    rows, columns = np.nonzero(np.isfinite(depth))
    assert rows.min() == round(240 - 238 * 525 / 585)  # two rows are unknown
    assert columns.min() == round(320 - 320 * 525 / 585 - 525 * 0.025 / 2)
    inner = depth[rows.min() : rows.max(), columns.min() : columns.max()]
    assert np.isfinite(inner).all()


@pytest.mark.parametrize(
    ('file', 'content', 'kind', 'text'),
    [
        ('camera-intrinsics.txt', None, ConfigError, 'has no camera-intrinsics.txt'),
        ('camera-intrinsics.txt', '1 2', ConfigError, 'expected 3 x 3 finite numbers'),
        ('frame-000000.pose.txt', None, ConfigError, 'cannot read'),
        ('frame-000000.pose.txt', 'nan ' * 16, ConfigError, 'expected 4 x 4 finite numbers'),
        ('frame-000000.depth.png', 'x', ImageError, 'expected a 16-bit grey png in'),
        ('frame-000000.color.jpg', 'x', ImageError, 'frame-000000.color.jpg'),
    ],
)
def test_a_scene_with_a_bad_file_is_refused_by_name(tmp_path, file, content, kind, text):
    folder = write_scene(tmp_path / 'scene')
    (folder / file).unlink()
    if content:
        (folder / file).write_text(content)
    told = error_of(kind, lambda: seven_scenes_relocalization(folder).keyframes.frame(0))
    assert text in told and str(folder) in told


def test_a_scene_needs_frames_of_one_size(tmp_path):
    folder = write_scene(tmp_path / 'scene', [0])
    assert 'has 1 frames' in error_of(ConfigError, seven_scenes_relocalization, folder)
    folder = write_scene(tmp_path / 'other')
    write_small_frame(folder)
    told = error_of(ImageError, lambda: seven_scenes_relocalization(folder).keyframes.frame(0))
    assert 'is 128 x 96 pixels; expected 640 x 480' in told


@pytest.mark.data
def test_the_real_scene_has_depth_in_every_fourth_keyframe(data):
    scene = seven_scenes_relocalization(data / 'relocalization' / '7scenes_redkitchen')
    frames = list(some(scene.keyframes))
    assert [f.depth_m is not None for f in frames] == [i % 4 == 0 for i in range(100)]
    assert (len(frames), len(scene.queries['second half'])) == (100, 100)

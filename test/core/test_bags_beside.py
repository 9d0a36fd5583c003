"""What a bag has beside its images: poses of camera or base, depth and calibration, by stamp."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cerfevpr_core.camera_info import camera_of_info
from cerfevpr_core.data.beside import BagDepth, BagPoses, bag_camera
from cerfevpr_core.data.drawn_route import DrawnRoute, write_bag
from cerfevpr_core.data.drawn_route.bag import (
    CAMERA_IN_BASE,
    CAMERA_INFO,
    DEPTH,
    IMAGE,
    ODOMETRY,
)
from cerfevpr_core.data.frames import BagFrames
from cerfevpr_core.errors import ConfigError, ImageError
from cerfevpr_core.geometry import Camera, parse_pose

ROUTE = DrawnRoute(1, 3)
MOUNT = ['--camera-in-base', '0.3 0 1.2 -0.5 0.5 -0.5 0.5']
TOPICS = ['--pose-topic', ODOMETRY, '--camera-info-topic', CAMERA_INFO, '--depth-topic', DEPTH]


@pytest.fixture(scope='module')
def bag(tmp_path_factory) -> Path:
    """Three images of a drawn street with all that a robot records."""
    path = tmp_path_factory.mktemp('bags') / 'drive'
    write_bag(ROUTE, path, 'summer')
    return path


def test_odometry_of_the_base_gives_the_poses_of_the_camera(bag):
    poses = BagPoses(bag, ODOMETRY, CAMERA_IN_BASE)
    for number, frame in enumerate(BagFrames(bag, IMAGE)):
        found = poses.find(frame.name, frame.stamp_ns)
        assert found is not None
        np.testing.assert_allclose(found.matrix(), ROUTE.pose(number).matrix(), atol=1e-9)


def test_a_pose_between_two_is_interpolated_and_one_far_from_all_is_not_known(bag):
    poses = BagPoses(bag, ODOMETRY, CAMERA_IN_BASE)
    first, second, *_ = (frame.stamp_ns for frame in BagFrames(bag, IMAGE))
    middle = poses.find('', (first + second) // 2)
    assert middle is not None
    expected = np.mean([ROUTE.pose(0).position_m, ROUTE.pose(1).position_m], axis=0)
    np.testing.assert_allclose(middle.position_m, expected, atol=1e-9)
    assert poses.find('', first - 1_000_000_000) is None


def test_odometry_without_the_place_of_the_camera_is_a_warning(bag, caplog):
    BagPoses(bag, ODOMETRY)
    assert 'give --camera-in-base' in caplog.text


def test_depth_is_that_of_the_image_of_its_stamp_also_when_read_again(bag):
    depth = BagDepth(bag, DEPTH)
    for _ in range(2):
        for number, frame in enumerate(BagFrames(bag, IMAGE)):
            found = depth.find(frame.name, frame.stamp_ns)
            expected = ROUTE.frame(number).depth_m
            assert found is not None
            near = expected < 60
            np.testing.assert_allclose(found[near], expected[near], atol=6e-4)
            assert (found[~np.isfinite(expected)] == 0).all()
    assert depth.find('', 10**19) is None


def test_the_calibration_of_a_bag_is_that_of_its_camera(bag):
    assert bag_camera(bag, CAMERA_INFO) == ROUTE.camera


def info(upper: bool = False, **more: object) -> SimpleNamespace:
    k = [500.0, 0, 320, 0, 510, 240, 0, 0, 1]
    roi = SimpleNamespace(width=0, height=0, x_offset=0, y_offset=0)
    fields = {'width': 640, 'height': 480, 'binning_x': 0, 'binning_y': 0, 'roi': roi}
    fields |= {'distortion_model': 'plumb_bob'} | {'K' if upper else 'k': k}
    return SimpleNamespace(**fields | {'D' if upper else 'd': [0.1, 0.2, 0.0, 0.0, 0.3]} | more)


@pytest.mark.parametrize('upper', [False, True])
def test_binning_and_region_of_a_calibration_count_in_a_bag_of_either_ros(upper):
    roi = SimpleNamespace(width=200, height=100, x_offset=100, y_offset=40)
    found = camera_of_info(info(upper, binning_x=2, binning_y=2, roi=roi))
    assert found == Camera(100, 50, 250, 255, 110, 100, (0.1, 0.2, 0.0, 0.0, 0.3))


def test_a_calibration_of_infinite_numbers_is_refused():
    with pytest.raises(ConfigError, match='expected finite numbers'):
        camera_of_info(info(d=[math.inf, 0, 0, 0, 0]))


def test_a_topic_of_another_kind_is_refused_with_those_that_fit(bag):
    with pytest.raises(ImageError, match=r'/odom of .* is nav_msgs/msg/Odometry, expected sensor'):
        BagDepth(bag, ODOMETRY)
    with pytest.raises(ImageError, match=r'/odo of .* is not there, .*; the bag has /odom'):
        BagPoses(bag, '/odo')
    with pytest.raises(ImageError, match=r'; the bag has /camera/camera_info$'):
        bag_camera(bag, IMAGE)


@pytest.mark.parametrize(
    'text', ['', '1 2 3', '0 0 0 1 1 1 1', '0 0 nan 0 0 0 1', 'a b c d e f g']
)
def test_a_mount_that_is_no_pose_is_refused(text):
    with pytest.raises(ConfigError, match=r'wrong --camera-in-base .*: expected x, y, z in metre'):
        parse_pose(text, '--camera-in-base')


def test_a_map_is_built_from_the_topics_of_a_bag_alone(run, tiny, bag, tmp_path):
    out = tmp_path / 'map'
    build = ['map', 'build', '--bag', bag, '--topic', IMAGE, '--out', out, *tiny]
    code, told, _ = run(*build, *TOPICS, *MOUNT)
    assert (code, told.splitlines()[0]) == (0, f'3 keyframes -> {out}')
    told = run('map', 'info', out)[1]
    assert '3 (3 with a pose)' in told and 'xfeat' in told


def test_topics_without_a_bag_or_beside_a_file_of_the_same_are_refused(
    fails, tiny, bag, pictures, tmp_path
):
    def build(*arguments: object) -> str:
        return fails('map', 'build', '--out', tmp_path / 'map', *tiny, *arguments)

    of_bag = ['--bag', bag, '--topic', IMAGE]
    assert build('--images', pictures, '--pose-topic', '/odom').startswith(
        '--pose-topic belongs to --bag'
    )
    assert build(*of_bag, *MOUNT).startswith('--camera-in-base belongs to --pose-topic')
    poses = tmp_path / 'poses.txt'
    assert build(*of_bag, '--poses', poses, '--pose-topic', ODOMETRY) == (
        '--poses and --pose-topic say the same; give one of them'
    )
    assert '--depth-topic needs --camera-info-topic' in build(*of_bag, '--depth-topic', DEPTH)
    assert not (tmp_path / 'map').exists()


def test_a_drawn_bag_is_not_written_over_another(run, fails, tmp_path):
    out = tmp_path / 'bag'
    draw = ['draw', '--bag', '--out', out, '--frames', 1]
    told = run(*draw)[1]
    assert told == f'1 images, camera_info, depth and odometry -> {out}\n'
    assert f'{out} is there already' in fails(*draw)

"""What a replay plays beside its images: poses and depth, for a mapper to hear."""

from __future__ import annotations

import math

import numpy as np
import pytest
from processes import INTERFACES, ends_of, node

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, Image

from cerfevpr_core.data.drawn_route import DEFAULT_CAMERA, DrawnRoute, write_traverse
from cerfevpr_core.data.positions import PoseTable
from cerfevpr_core.recognizer import PlaceRecognizer
from cerfevpr_msgs.msg import KeyframeAdded
from cerfevpr_ros.conversions import depth_from_msg, pose_from_msg, stamp_to_ns

pytestmark = [pytest.mark.ros, pytest.mark.slow]

NUM_FRAMES = 6


@pytest.fixture(scope='module')
def drive(tmp_path_factory):
    """A folder with images, poses and depth of a drawn street."""
    folder = tmp_path_factory.mktemp('beside') / 'drive'
    write_traverse(DrawnRoute(3, NUM_FRAMES), folder, 'summer', depth=True)
    return folder


def options_of(drive, **others) -> dict:
    return {
        'images': str(drive),
        'poses': str(drive / 'poses.txt'),
        'depth': str(drive / 'depth'),
        'wait_for': 'listener',
        'rate_hz': 4.0,
        **others,
    }


def test_poses_and_depth_have_the_stamp_of_their_image(client, drive, tmp_path):
    heard: dict[str, list] = {}
    kinds = {'image': Image, 'camera_info': CameraInfo, 'pose': PoseStamped, 'depth': Image}
    for topic, kind in kinds.items():
        heard[topic] = []
        client.node.create_subscription(kind, f'/beside/{topic}', heard[topic].append, 50)
    options = options_of(drive, map_frame='site', frame_id='front')
    with node('replay', tmp_path, 'beside', options) as replay:
        assert replay.code() == 0, replay.output
        assert f'{NUM_FRAMES} images sent' in replay.output
    by_stamp = {t: {stamp_to_ns(m.header.stamp): m for m in heard[t]} for t in kinds}
    stamps = list(by_stamp['image'])
    assert len(stamps) == NUM_FRAMES
    poses = PoseTable(drive / 'poses.txt')
    for number, stamp in enumerate(stamps):
        pose = by_stamp['pose'][stamp]
        assert (pose.header.frame_id, by_stamp['image'][stamp].header.frame_id) == (
            'site',
            'front',
        )
        expected = poses.find(f'{number:06d}.jpg')
        assert expected is not None
        assert math.dist(pose_from_msg(pose.pose).position_m, expected.position_m) < 1e-9
        depth_m = depth_from_msg(by_stamp['depth'][stamp])
        assert depth_m.shape == (by_stamp['image'][stamp].height, by_stamp['image'][stamp].width)
        assert 1 < np.median(depth_m[depth_m > 0]) < 60
        assert by_stamp['camera_info'][stamp].k[0] > 0


def test_a_replayed_drive_becomes_a_map_that_gives_poses(client, drive, tmp_path):
    parameters = {
        'map.path': str(tmp_path / 'map'),
        'method': 'grid',
        'verification.detector': 'orb',
        'verification.min_inliers': 8,
        'pose_source': 'pose',
        'use_depth': True,
        'mapping.min_distance_m': 0.1,
    }
    with node('mapper', tmp_path, 'replayed', parameters) as mapper:
        added = client.hears(KeyframeAdded, '/replayed/mapper/keyframes')
        mapper.says('0 keyframes in')
        with node('replay', tmp_path, 'replayed', options_of(drive, rate_hz=1.0)) as replay:
            assert replay.code() == 0, replay.output
        added.wait_for(lambda m: m.keyframe_id == NUM_FRAMES, 'all of them are added')
    recognizer = PlaceRecognizer.load(tmp_path / 'map')
    frame = DrawnRoute(3, NUM_FRAMES).frame(2, 'summer')
    found = recognizer.recognize(frame.image, camera=DEFAULT_CAMERA)
    recognizer.close()
    assert found.pose is not None
    assert math.dist(found.pose.pose.position_m, frame.pose.position_m) < 0.1


REFUSED = {
    'waits': ({'wait_for': 'nobody'}, 'wrong setting wait_for = nobody'),
    'rate': ({'wait_for': 'listener', 'rate_hz': 0.0}, 'wait_for:=listener needs a rate_hz'),
    'poses': ({'poses': '/nowhere/poses.txt'}, 'cannot read /nowhere/poses.txt'),
    'depth': ({'depth': '/nowhere/depth'}, 'no depth images in /nowhere/depth'),
}


@pytest.fixture(scope='module')
def refusals(ros, drive, tmp_path_factory):
    cases = {name: options_of(drive) | given for name, (given, _) in REFUSED.items()}
    return ends_of('replay', tmp_path_factory.mktemp('refused_replay'), cases)


@pytest.mark.parametrize('name', REFUSED)
def test_a_replay_that_cannot_play_them_says_why(name, refusals):
    code, output = refusals[name]
    assert REFUSED[name][1] in output and code == 1
    assert 'Traceback' not in output

"""A running mapper over DDS: what it adds of a drive, and what a SLAM system may ask of it."""

from __future__ import annotations

import math
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from driver import Driver, S, Seen
from messages import image_msg
from processes import INTERFACES, node

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from geometry_msgs.msg import Pose as PoseMsg
from geometry_msgs.msg import Quaternion
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from cerfevpr_core.data.drawn_route import DEFAULT_CAMERA, DrawnRoute
from cerfevpr_core.geometry import Pose
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.place_map.store import KeyframeStore
from cerfevpr_core.recognizer import PlaceRecognizer
from cerfevpr_msgs.srv import AddKeyframe, LoadMap, RemoveKeyframe, SaveMap, UpdatePoses
from cerfevpr_ros.conversions import pose_from_msg, pose_to_msg

pytestmark = [pytest.mark.ros, pytest.mark.slow]

# No network to fit, and quick keypoints: the node is what is tested here.
QUICK = {'method': 'grid', 'verification.detector': 'orb', 'verification.min_inliers': 8}
NUM_PLACES = 8


@pytest.fixture(scope='module')
def street() -> list[Seen]:
    """Places of a drawn street, some two metres apart."""
    route = DrawnRoute(2, NUM_PLACES)
    frames = [route.frame(number, 'summer') for number in range(NUM_PLACES)]
    return [Seen(f.image, f.pose, f.depth_m) for f in frames]


@pytest.fixture(scope='module')
def driver(client, tmp_path_factory):
    """A mapper with poses and depth, for the whole module."""
    folder = tmp_path_factory.mktemp('mapped')
    parameters = {
        **QUICK,
        'map.path': str(folder / 'maps' / 'map'),
        'traverse': 'morning',
        'pose_source': 'pose',
        'use_depth': True,
        'mapping.min_distance_m': 0.5,
    }
    with node('mapper', folder, 'mapped', parameters) as process:
        driver = Driver(client, 'mapped', process)
        driver.folder = folder / 'maps' / 'map'
        yield driver
        process.end(signal.SIGINT)
        assert process.child.returncode == 0, process.output
        assert 'Traceback' not in process.output


def everything(folder: Path) -> list:
    """The keyframes of a map, read beside the node that writes it."""
    store = KeyframeStore.open(folder)
    try:
        return store.everything()
    finally:
        store.close()


def test_a_drive_becomes_keyframes_with_poses_and_points_that_localize(driver, street):
    told = [driver.until_added(seen, DEFAULT_CAMERA) for seen in street[:4]]
    kept = {c.keyframe_id: c for c in everything(driver.folder)}
    for msg, seen in zip(told, street, strict=False):
        assert msg.has_pose and msg.has_points and msg.traverse == 'morning'
        assert msg.header.frame_id == 'front_camera' and msg.external_id == ''
        found = pose_from_msg(msg.pose)
        assert seen.pose is not None
        np.testing.assert_allclose(found.position_m, seen.pose.position_m, atol=1e-9)
        assert kept[msg.keyframe_id].pose.position_m == pytest.approx(found.position_m)
        assert kept[msg.keyframe_id].traverse == 'morning'
    recognizer = PlaceRecognizer.load(driver.folder)
    answer = recognizer.recognize(street[2].image, camera=DEFAULT_CAMERA)
    recognizer.close()
    assert answer.candidates[0].keyframe_id == told[2].keyframe_id
    assert answer.pose is not None
    assert math.dist(answer.pose.pose.position_m, street[2].pose.position_m) < 0.1


def test_a_robot_that_stands_adds_nothing(driver, street):
    added = driver.until_added(street[4], DEFAULT_CAMERA)
    stands = [driver.drive(street[4], DEFAULT_CAMERA) for _ in range(5)]
    later = driver.until_added(street[5], DEFAULT_CAMERA)  # by then all of them were looked at
    assert later.keyframe_id == added.keyframe_id + 1
    assert not [number for number in stands if driver.of(number)]


def test_an_image_without_its_pose_or_its_depth_is_not_added(driver, street):
    driver.until_added(street[6], DEFAULT_CAMERA)
    number = driver.drive(replace(street[7], pose=None), DEFAULT_CAMERA)
    driver.process.says('image not added: no pose on pose at its stamp')
    blind = driver.drive(replace(street[7], depth_m=None), DEFAULT_CAMERA)
    driver.until_added(street[7], DEFAULT_CAMERA)
    assert not driver.of(number) and not driver.of(blind)


def test_the_traverse_may_change_while_the_robot_drives(driver, street):
    def name_it(value):
        parameters = [Parameter('traverse', value=value).to_parameter_msg()]
        return driver.call(SetParameters, 'set_parameters', parameters=parameters).results[0]

    assert name_it('evening').successful
    assert driver.until_added(street[0], DEFAULT_CAMERA).traverse == 'evening'
    assert name_it('morning').successful


def add(driver, seen: Seen, number: int, **fields):
    """Ask for a keyframe."""
    pose = pose_to_msg(seen.pose) if seen.pose else PoseMsg(orientation=Quaternion(w=0.0))
    fields = {'image': image_msg(seen.image, number), 'pose': pose, **fields}
    return driver.call(AddKeyframe, 'add_keyframe', **fields)


def test_a_slam_system_adds_moves_and_removes_keyframes_under_its_own_ids(driver, street):
    response = add(driver, street[3], 7 * S, external_id='kf 42', traverse='slam')
    assert response.success, response.message
    told = driver.added.wait_for(lambda m: m.external_id == 'kf 42', 'it is told')
    assert (told.keyframe_id, told.traverse) == (response.keyframe_id, 'slam')
    again = add(driver, street[3], 7 * S, external_id='kf 42', traverse='slam')
    assert again.success and again.keyframe_id == response.keyframe_id
    other = add(driver, street[4], 8 * S, external_id='kf 42', traverse='slam')
    assert not other.success and "has the external_id 'kf 42' already" in other.message

    better = Pose((9.0, 8.0, 7.0), (0.0, 0.0, 0.0, 1.0))
    ids, poses = [response.keyframe_id], [pose_to_msg(better)]
    moved = driver.call(UpdatePoses, 'update_poses', keyframe_ids=ids, poses=poses)
    assert moved.success, moved.message
    kept = {c.external_id: c for c in everything(driver.folder)}
    assert kept['kf 42'].pose == better

    number = len(everything(driver.folder))
    gone = driver.call(RemoveKeyframe, 'remove_keyframe', repeat=False, external_id='kf 42')
    assert gone.success, gone.message
    assert len(everything(driver.folder)) == number - 1
    missing = driver.call(RemoveKeyframe, 'remove_keyframe', external_id='kf 42')
    assert not missing.success and 'kf 42' in missing.message


def test_a_keyframe_may_have_no_pose(driver, street):
    response = add(driver, Seen(street[5].image), 9 * S, external_id='nowhere')
    assert response.success, response.message
    told = driver.added.wait_for(lambda m: m.external_id == 'nowhere', 'it is told')
    assert not told.has_pose and told.pose.orientation.w == 0
    driver.call(RemoveKeyframe, 'remove_keyframe', repeat=False, external_id='nowhere')


def test_hostile_requests_are_refused_in_words_and_the_node_lives_on(driver, street):
    known = add(driver, street[0], 3 * S, external_id='known').keyframe_id
    before, image = everything(driver.folder), street[1].image
    nan, far = PoseMsg(), PoseMsg()
    nan.position.x, far.position.x = math.nan, 1e300
    empty, huge = image_msg(image, 1), image_msg(image, 1)
    empty.height, empty.width, empty.step, empty.data = 0, 0, 0, b''
    huge.height, huge.width, huge.step = 2**31, 2**31, 2**32 - 1
    odd, named = image_msg(image, 1), image_msg(image, 1)
    odd.encoding, named.header.frame_id = 'x' * 10_000_000, 'f' * 10_000_000
    good, long = image_msg(image, 1), 'x' * 10_000_000
    many = [pose_to_msg(street[0].pose)] * 100_000
    one = many[:1]
    asked = [
        (AddKeyframe, 'add_keyframe', {'image': good, 'pose': nan}),
        (AddKeyframe, 'add_keyframe', {'image': good, 'pose': far}),
        (AddKeyframe, 'add_keyframe', {'image': empty}),
        (AddKeyframe, 'add_keyframe', {'image': huge}),
        (AddKeyframe, 'add_keyframe', {'image': odd}),
        (AddKeyframe, 'add_keyframe', {'image': named}),
        (AddKeyframe, 'add_keyframe', {'image': good, 'external_id': long}),
        (AddKeyframe, 'add_keyframe', {'image': good, 'traverse': long}),
        (AddKeyframe, 'add_keyframe', {'image': good, 'external_id': 'a\nb'}),
        (RemoveKeyframe, 'remove_keyframe', {}),
        (RemoveKeyframe, 'remove_keyframe', {'keyframe_id': -1}),
        (RemoveKeyframe, 'remove_keyframe', {'keyframe_id': 2**63 - 1}),
        (RemoveKeyframe, 'remove_keyframe', {'external_id': long}),
        (RemoveKeyframe, 'remove_keyframe', {'external_id': "' OR 1=1 --"}),
        (UpdatePoses, 'update_poses', {'keyframe_ids': [known], 'poses': [nan]}),
        (UpdatePoses, 'update_poses', {'keyframe_ids': [known], 'poses': [far]}),
        (UpdatePoses, 'update_poses', {'keyframe_ids': [known], 'poses': []}),
        (UpdatePoses, 'update_poses', {'keyframe_ids': [], 'poses': one}),
        (UpdatePoses, 'update_poses', {'keyframe_ids': [known, 10**9], 'poses': one * 2}),
        (UpdatePoses, 'update_poses', {'keyframe_ids': [known, known], 'poses': one * 2}),
        (UpdatePoses, 'update_poses', {'keyframe_ids': [-(2**63)], 'poses': one}),
        (UpdatePoses, 'update_poses', {'keyframe_ids': range(100_000), 'poses': many}),
        (UpdatePoses, 'update_poses', {'keyframe_ids': [known], 'poses': many}),
        (SaveMap, 'save_map', {'path': '/tmp/elsewhere'}),
        (SaveMap, 'save_map', {'path': '../elsewhere'}),
        (SaveMap, 'save_map', {'path': str(driver.folder)}),
        (SaveMap, 'save_map', {'path': long}),
        (LoadMap, 'load_map', {'path': '/etc'}),
        (LoadMap, 'load_map', {'path': ''}),
        (LoadMap, 'load_map', {'path': 'nothing/here'}),
    ]
    for kind, service, fields in asked:
        response = driver.call(kind, service, **fields)
        assert not response.success, (service, fields)
        assert 0 < len(response.message) <= 1000, (service, response.message)
        assert 'internal error' not in response.message, response.message
    assert everything(driver.folder) == before
    assert driver.process.child.poll() is None


def test_the_map_is_saved_and_loaded_while_it_runs(driver, street):
    root = driver.folder.parent
    saved = driver.call(SaveMap, 'save_map', repeat=False, path='copies/first')
    assert saved.success, saved.message
    assert len(everything(root / 'copies' / 'first')) == len(everything(driver.folder))
    loaded = driver.call(LoadMap, 'load_map', repeat=False, path='copies/first')
    assert loaded.success and len(loaded.map_id) == 32
    added = driver.until_added(street[1], DEFAULT_CAMERA)
    assert added.map_id == loaded.map_id
    assert len(everything(root / 'copies' / 'first')) == len(everything(driver.folder)) + 1

    (root / 'broken').mkdir()
    (root / 'broken' / 'keyframes.sqlite').write_bytes(b'no database' * 100)
    refused = driver.call(LoadMap, 'load_map', path='broken')
    assert not refused.success and refused.message
    assert driver.until_added(street[3], DEFAULT_CAMERA).map_id == loaded.map_id
    assert driver.call(LoadMap, 'load_map', repeat=False, path=str(driver.folder)).success
    assert driver.call(SaveMap, 'save_map').success  # the index, where the map is


def test_without_poses_time_decides(client, street, tmp_path):
    parameters = {**QUICK, 'map.path': str(tmp_path / 'map'), 'mapping.min_interval_s': 2.5}
    with node('mapper', tmp_path, 'blind', parameters) as process:
        driver = Driver(client, 'blind', process)
        first = driver.until_added(Seen(street[0].image))
        assert not first.has_pose
        start = driver.number
        numbers = []
        while len(driver.added) < 3:
            numbers.append(driver.drive(Seen(street[len(numbers) % NUM_PLACES].image)))
            time.sleep(0.3)  # so that none is dropped for a newer one
            assert len(numbers) < 100
        gaps_s = np.diff([start, *(n for n in numbers if driver.of(n))]) / S
        assert (gaps_s >= 2.5).all()


def test_a_killed_mapper_comes_again_with_every_keyframe_that_it_told_of(client, street, tmp_path):
    parameters = {**QUICK, 'map.path': str(tmp_path / 'map'), 'mapping.min_interval_s': 0.0}
    told: set[int] = set()
    for life in range(3):
        with node('mapper', tmp_path, f'life{life}', parameters) as process:
            driver = Driver(client, f'life{life}', process)
            driver.until_added(Seen(street[life].image))
            for _ in range(200):
                if len(driver.added) >= 4:
                    break
                driver.drive(Seen(street[driver.number // S % NUM_PLACES].image))
                time.sleep(0.05 + 0.03 * life)  # killed at another moment of its work
            assert len(driver.added) >= 4, process.output
            process.end(signal.SIGKILL)
            told |= {m.keyframe_id for m in driver.added}
    place_map = PlaceMap.open(tmp_path / 'map')
    assert place_map.check() == []
    kept = {c.keyframe_id for c in place_map.store.everything()}
    place_map.close()
    assert told and told <= kept

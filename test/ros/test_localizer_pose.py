"""A localizer whose map knows depth, over DDS: the poses it publishes, and when it does not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from client import Camera as CameraInFront
from messages import camera_info_msg, number_of
from processes import INTERFACES, TimedOut, node, wait_until

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from geometry_msgs.msg import PoseWithCovarianceStamped
from sensor_msgs.msg import CameraInfo

from cerfevpr_core.config import load_config
from cerfevpr_core.data.depth_images import DepthImages
from cerfevpr_core.data.drawn_route import DEFAULT_CAMERA, DrawnRoute, write_traverse
from cerfevpr_core.data.frames import FolderFrames
from cerfevpr_core.data.positions import PoseTable
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.mapping import Extras, build_map
from cerfevpr_ros.conversions import pose_from_msg

pytestmark = [pytest.mark.ros, pytest.mark.slow]

NUM_FRAMES = 6
TRIES = 20  # best effort loses messages, and two topics keep no order between them


@dataclass
class Street:
    """A map with depth, and the same street from another lane with its true poses."""

    place_map: Path
    images: list[np.ndarray]
    truth: list[Pose]


@pytest.fixture(scope='module')
def street(tmp_path_factory) -> Street:
    folder = tmp_path_factory.mktemp('street')
    day, aside = folder / 'day', folder / 'aside'
    drawn = DrawnRoute(num_frames=NUM_FRAMES)
    write_traverse(drawn, day, 'summer', depth=True)
    write_traverse(drawn, aside, 'summer', 'shifted')
    known = Extras(
        poses=PoseTable(day / 'poses.txt'),
        camera=DEFAULT_CAMERA,
        depth=DepthImages(day / 'depth'),
    )
    config = load_config(overrides={'verification.detector': 'orb', 'landmarks.selection': 'all'})
    build_map(FolderFrames(day), folder / 'map', config, known)
    truth = PoseTable(aside / 'poses.txt').by_name.values()
    return Street(folder / 'map', [f.image for f in FolderFrames(aside)], [*truth])


class Robot:
    """A calibrated camera in front of a localizer; it hears poses, too."""

    def __init__(self, client, process, first: np.ndarray) -> None:
        self.front = CameraInFront(client, 'robot', process)
        self.process = process
        self.poses = client.hears(PoseWithCovarianceStamped, f'{self.front.name}/pose')
        self.infos = client.publisher(CameraInfo, '/robot/camera_info')
        self.front.warm_up(first)

    def shows(self, image: np.ndarray, camera: Camera):
        """Calibration and image, once; the answer."""
        self.infos.publish(camera_info_msg(camera, self.front.number + 1))
        return self.front.answer(self.front.send(image))

    def poses_of(self, number: int) -> list:
        return [pose for pose in list(self.poses) if number_of(pose) == number]

    def posed(self, image: np.ndarray, camera: Camera):
        """The first answer with a pose, and the pose."""
        for _ in range(TRIES):
            answer = self.shows(image, camera)
            if any(match.has_pose for match in answer.matches):
                number = number_of(answer)
                wait_until(lambda: self.poses_of(number), f'pose {number}')  # noqa: B023
                return answer, self.poses_of(number)[0]
        raise TimedOut(f'no pose:\n{self.process.output}')


@pytest.fixture(scope='module')
def robot(street, client, tmp_path_factory):
    parameters = {'map.path': str(street.place_map)}
    with node('localizer', tmp_path_factory.mktemp('robot'), 'robot', parameters) as process:
        yield Robot(client, process, street.images[0])


def test_an_image_from_the_other_lane_gets_a_pose_with_its_stamp_in_the_map_frame(
    robot, street
) -> None:
    answer, pose = robot.posed(street.images[2], DEFAULT_CAMERA)
    assert pose.header.stamp == answer.header.stamp
    assert (pose.header.frame_id, answer.header.frame_id) == ('map', 'front_camera')
    found = pose_from_msg(pose.pose.pose)
    assert math.dist(found.position_m, street.truth[2].position_m) < 0.25
    covariance = np.array(pose.pose.covariance).reshape(6, 6)
    assert np.isfinite(covariance).all()
    np.testing.assert_allclose(covariance, covariance.T, rtol=1e-6, atol=1e-12)
    assert np.linalg.eigvalsh(covariance).min() > 0
    assert np.sqrt(np.linalg.eigvalsh(covariance[:3, :3]).max()) < 0.5  # max_std_m
    assert 'poses by orb keypoints' in robot.process.output


def test_the_matches_tell_which_of_them_carry_the_pose_and_where_they_match(robot, street) -> None:
    answer, pose = robot.posed(street.images[3], DEFAULT_CAMERA)
    carrying = [match for match in answer.matches if match.has_pose]
    for match in carrying:
        assert match.scale_known and match.pose_in_map == pose.pose
    best = carrying[0]
    assert best.verified and best.num_inliers >= 20 and 0 < best.inlier_ratio <= 1
    assert best.reject_reason == '' and best.regions
    for region in best.regions:
        for left, top, width, height in (region.query_box_px, region.map_box_px):
            assert left >= 0 and width > 0 and left + width <= 320.01
            assert top >= 0 and height > 0 and top + height <= 240.01
    for match in answer.matches:
        assert match.verified or match.reject_reason
    assert 'verify' in answer.stages


def test_the_camera_is_that_of_the_message_not_the_maps(robot, street) -> None:
    larger = cv2.resize(street.images[2], (640, 480))
    scaled = Camera(640, 480, 410.0, 410.0, 319.5, 239.5)
    _, pose = robot.posed(larger, scaled)
    found = pose_from_msg(pose.pose.pose)
    assert math.dist(found.position_m, street.truth[2].position_m) < 0.25


def test_an_image_of_another_street_gets_no_pose_and_the_reason(robot, street) -> None:
    elsewhere = DrawnRoute(seed=7, num_frames=2).frame(1).image
    answer = robot.shows(elsewhere, DEFAULT_CAMERA)
    assert answer.matches
    for match in answer.matches:
        assert not match.verified and not match.has_pose and match.reject_reason
        assert match.pose_in_map.pose.orientation.w == 0
    robot.posed(street.images[2], DEFAULT_CAMERA)  # whatever was published before has come
    assert robot.poses_of(number_of(answer)) == []


def test_a_camera_without_calibration_means_no_pose_and_a_warning_until_it_is_calibrated(
    robot, street
) -> None:
    wrong = replace(DEFAULT_CAMERA, fx=0.0, fy=0.0)
    robot.infos.publish(camera_info_msg(wrong))
    robot.process.says('no poses: camera_info has focal lengths 0 and 0 pixels')
    answer = robot.shows(street.images[2], wrong)  # the map's own camera has images as large
    assert answer.matches and not any(match.has_pose for match in answer.matches)
    robot.posed(street.images[2], DEFAULT_CAMERA)
    assert robot.poses_of(number_of(answer)) == []

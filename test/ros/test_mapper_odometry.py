"""Odometry of the robot's base becomes poses of its camera."""

from __future__ import annotations

import math

import numpy as np
import pytest
from driver import Driver, S, Seen
from messages import START_NS, image_msg
from processes import INTERFACES, node, wait_until

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry

from cerfevpr_core.data.drawn_route import DrawnRoute
from cerfevpr_core.geometry import Pose
from cerfevpr_ros.conversions import ns_to_stamp, pose_from_msg

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture(scope='module')
def seen() -> Seen:
    return Seen(DrawnRoute(2, 2).frame(0, 'summer').image)


def camera_by_odometry(client, seen: Seen, tmp_path, name: str, mounting: dict) -> Pose:
    """Of a keyframe taken midway between x 10.0 and 10.2 m of a base that heads along y."""
    parameters = {'method': 'grid', 'verification.mode': 'never', 'pose_source': 'odom'}
    parameters |= {'map.path': str(tmp_path / 'map'), **mounting}
    with node('mapper', tmp_path, name, parameters) as process:
        driver = Driver(client, name, process)
        reports = client.hears(DiagnosticArray, '/diagnostics')
        for _ in range(20):  # best effort loses messages
            if (values := reported(reports, f'{name}/mapper'))['images answered'] != '0':
                break
            driver.number += S
            driver.images.publish(image_msg(seen.image, driver.number))
        assert values['last reason for no pose'] == 'no pose on odom at its stamp'
        assert values['images with a pose'] == '0'
        odometry = driver.out(Odometry, 'odom')
        for _ in range(20):
            driver.number += S
            for offset_ns, x_m in ((-S // 20, 10.0), (S // 20, 10.2)):
                msg = Odometry()
                msg.header.stamp = ns_to_stamp(START_NS + driver.number + offset_ns)
                msg.pose.pose.position.x = x_m
                z = math.sqrt(0.5)
                msg.pose.pose.orientation.z, msg.pose.pose.orientation.w = z, z
                odometry.publish(msg)
            driver.images.publish(image_msg(seen.image, driver.number))
            if wait_for_one(driver):
                break
        assert not driver.added[0].has_points
        assert int(reported(reports, f'{name}/mapper')['images with a pose']) >= 1
        return pose_from_msg(driver.added[0].pose)


def looks_along_y_and_stands_at(pose: Pose, position_m: tuple[float, float, float]) -> None:
    assert pose.position_m == pytest.approx(position_m, abs=1e-6)
    np.testing.assert_allclose(pose.matrix()[:3, 2], [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(pose.matrix()[:3, 1], [0, 0, -1], atol=1e-6)  # y is down


def test_odometry_of_the_base_becomes_the_camera_between_two_messages(client, seen, tmp_path):
    """The camera looks ahead, 0.3 m before and 1 m above the base (REP 103)."""
    mounting = {'camera_in_base': '0.3 0 1.0 -0.5 0.5 -0.5 0.5'}
    pose = camera_by_odometry(client, seen, tmp_path, 'wheels', mounting)
    looks_along_y_and_stands_at(pose, (10.1, 0.3, 1.0))


@pytest.mark.usefixtures('tf2_stand_in')
def test_tf_may_say_where_the_camera_is(client, seen, tmp_path):
    """The stand-in has it 0.3 m before, 0.1 m left of and 1 m above the base."""
    mounting = {'camera_frame': 'front_camera'}
    pose = camera_by_odometry(client, seen, tmp_path, 'tf_wheels', mounting)
    looks_along_y_and_stands_at(pose, (10.0, 0.3, 1.0))


def reported(reports: list, node_name: str) -> dict[str, str]:
    """The values of the node's last status, from its next one on."""
    del reports[:]

    def last() -> list[dict[str, str]]:
        statuses = [s for msg in list(reports) for s in msg.status if s.name.startswith(node_name)]
        return [{v.key: v.value for v in s.values} for s in statuses]

    return wait_until(last, f'a status of {node_name}')[-1]


def wait_for_one(driver) -> bool:
    try:
        wait_until(lambda: driver.added, 'a keyframe', 3)
    except AssertionError:
        return False
    return True

"""The pose bridge over DDS, as Nav2's AMCL and slam_toolbox would meet it."""

from __future__ import annotations

import time

import numpy as np
import pytest
from processes import INTERFACES, ends_of, node, wait_until

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from cerfevpr_core.geometry import Pose
from cerfevpr_core.uncertain_pose import UncertainPose, apart, yaw_of
from cerfevpr_ros.conversions import pose_from_msg, pose_to_msg, stamp_to_ns, uncertain_pose_to_msg

pytestmark = [pytest.mark.ros, pytest.mark.slow]

CAMERA_IN_BASE = Pose((0.3, 0.1, 1.0), (-0.5, 0.5, -0.5, 0.5))
MOUNTED = {'camera_in_base': '0.3 0.1 1.0 -0.5 0.5 -0.5 0.5'}
CERTAIN = np.diag([0.01, 0.01, 0.01, 0.001, 0.001, 0.001])
QUIET_S = 1.0  # nothing came: DDS on one machine takes milliseconds
LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def base(x: float, y: float, yaw_deg: float = 0.0) -> Pose:
    quaternion = Rotation.from_euler('z', yaw_deg, degrees=True).as_quat()
    return Pose((x, y, 0.0), tuple(map(float, quaternion)))


class Robot:
    """What stands around a bridge: the localizer's poses, odometry, AMCL, and who is told."""

    def __init__(self, client, namespace: str, process, latched: bool = True) -> None:
        self.client, self.name, self.process = client, f'/{namespace}', process
        self.process.says('')
        # Depth 1, reliable, volatile: what slam_toolbox asks for; AMCL asks for the default.
        self.told: list[PoseWithCovarianceStamped] = []
        self.listener = client.node.create_subscription(
            PoseWithCovarianceStamped, f'{self.name}/initialpose', self.told.append, 1
        )
        self.verified = client.publisher(PoseWithCovarianceStamped, f'{self.name}/localizer/pose')
        self.odom = client.publisher(Odometry, f'{self.name}/odom')
        self.amcl = client.node.create_publisher(
            PoseWithCovarianceStamped, f'{self.name}/amcl_pose', LATCHED if latched else 10
        )
        wait_until(self.amcl.get_subscription_count, 'the bridge hears AMCL')
        topic = f'{self.name}/initialpose'
        wait_until(lambda: client.node.count_publishers(topic), 'the bridge publishes')
        self.ask(repeat=True)  # both ends of the service know of each other

    def now(self):
        return self.client.node.get_clock().now().to_msg()

    def localizer_says(self, where: Pose, covariance=CERTAIN, frame: str = 'map', stamp=None):
        """A verified pose, as the localizer publishes it; its stamp."""
        msg = PoseWithCovarianceStamped(header=Header(frame_id=frame, stamp=stamp or self.now()))
        msg.pose = uncertain_pose_to_msg(UncertainPose(where @ CAMERA_IN_BASE, covariance))
        self.verified.publish(msg)
        return stamp_to_ns(msg.header.stamp)

    def amcl_says(self, where: Pose, std_m: float = 0.1) -> None:
        covariance = np.zeros((6, 6))
        covariance[0, 0] = covariance[1, 1] = std_m**2
        covariance[5, 5] = 0.01
        msg = PoseWithCovarianceStamped(header=Header(frame_id='map', stamp=self.now()))
        msg.pose = uncertain_pose_to_msg(UncertainPose(where, covariance))
        self.amcl.publish(msg)

    def wheels_say(self, where: Pose):
        """Odometry now; its stamp, which is that of an image taken at the same moment."""
        msg = Odometry(header=Header(frame_id='odom', stamp=self.now()))
        msg.pose.pose = pose_to_msg(where)
        self.odom.publish(msg)
        return msg.header.stamp

    def ask(self, repeat: bool = False):
        """The response to one request; `repeat`: to one of several, where the first got none."""
        return self.client.call(
            Trigger, f'{self.name}/pose_bridge/send_initial_pose', repeat=repeat
        )

    def ask_until_sent(self):
        """Poses and requests are of two topics: the response may come before the pose is in."""
        return wait_until(lambda: (r := self.ask()).success and r, 'a pose is sent')


@pytest.fixture(scope='module')
def asked(client, tmp_path_factory):
    parameters = MOUNTED | {'min_interval_s': 3.0}
    with node('pose_bridge', tmp_path_factory.mktemp('asked'), 'asked', parameters) as process:
        robot = Robot(client, 'asked', process)
        yield robot


def test_it_sends_nothing_unverified_and_one_pose_once_on_request(asked):
    response = asked.ask()
    assert not response.success
    assert response.message == 'there is no verified pose yet'
    # What is not a verified pose in the map's frame never counts.
    for _ in range(5):
        asked.localizer_says(base(2, 1), covariance=np.zeros((6, 6)))
        asked.localizer_says(base(2, 1), frame='odom')
        asked.localizer_says(Pose((2, 1, 0), (0.7071, 0, 0, 0.7071)))  # lies on its side
        asked.amcl_says(base(2, 1))
    time.sleep(0.3)
    assert asked.ask().message == 'there is no verified pose yet'
    assert asked.told == []

    stamps_ns = [asked.localizer_says(base(2, 1, 40)) for _ in range(2)]
    wait_until(lambda: '2 of 3' in asked.ask().message, 'two poses are in')
    assert asked.told == []
    stamps_ns.append(asked.localizer_says(base(2, 1, 40)))
    assert 'x 2.00 m, y 1.00 m' in asked.ask_until_sent().message
    wait_until(lambda: asked.told, 'the pose arrives')
    [sent] = asked.told
    assert sent.header.frame_id == 'map'
    assert stamp_to_ns(sent.header.stamp) == stamps_ns[-1]  # AMCL moves it on by odometry
    found = pose_from_msg(sent.pose.pose)
    assert apart(found, base(2, 1, 40)) == pytest.approx((0, 0), abs=1e-3)
    assert np.degrees(yaw_of(found)) == pytest.approx(40)
    covariance = np.array(sent.pose.covariance).reshape(6, 6)
    for index in (0, 1, 5):  # what AMCL reads
        assert covariance[index, index] > CERTAIN[index, index]
    assert not covariance[2:5].any()

    # Nothing more by itself, and no second one right after it.
    for _ in range(5):
        asked.localizer_says(base(2, 1, 40))
    time.sleep(QUIET_S)
    assert len(asked.told) == 1
    assert not asked.ask().success
    assert len(asked.told) == 1


def test_it_offers_what_amcl_and_slam_toolbox_ask_for(asked, client):
    [info] = client.node.get_publishers_info_by_topic(f'{asked.name}/initialpose')
    assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert info.qos_profile.durability == DurabilityPolicy.VOLATILE  # an old pose is no pose
    [info] = client.node.get_subscriptions_info_by_topic(f'{asked.name}/amcl_pose')
    assert info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL


def test_it_sends_by_itself_only_when_the_robot_is_lost(client, tmp_path):
    parameters = MOUNTED | {'when_lost': True, 'never_localized_s': 60.0}
    with node('pose_bridge', tmp_path, 'lost', parameters) as process:
        robot = Robot(client, 'lost', process)
        for x in range(6):  # AMCL agrees
            stamp = robot.wheels_say(base(x, 0))
            robot.amcl_says(base(x, 0.2))
            time.sleep(0.1)
            robot.localizer_says(base(x, 0), stamp=stamp)
        time.sleep(QUIET_S)
        assert robot.told == []
        for x in range(6, 60):  # kidnapped: wheels and AMCL go on, images say elsewhere
            stamp = robot.wheels_say(base(x, 0))
            robot.amcl_says(base(x, 0.2))
            time.sleep(0.1)
            robot.localizer_says(base(26, x - 1, 90), stamp=stamp)
            time.sleep(0.1)
            if x >= 8 and robot.told:  # a busy machine may lose what would have been the third
                break
        time.sleep(QUIET_S)
        [sent] = robot.told
        x_m, y_m, z_m = pose_from_msg(sent.pose.pose).position_m
        assert (x_m, z_m) == pytest.approx((26, 0), abs=1e-3)
        assert y_m in [pytest.approx(said - 1, abs=1e-3) for said in range(8, x + 1)]
        assert 'lost: the localization is' in process.output


def test_a_last_pose_that_amcl_said_before_the_bridge_started_is_heard(client, tmp_path):
    early = client.node.create_publisher(PoseWithCovarianceStamped, '/late/amcl_pose', LATCHED)
    msg = PoseWithCovarianceStamped(header=Header(frame_id='map'))
    msg.header.stamp = client.node.get_clock().now().to_msg()
    msg.pose = uncertain_pose_to_msg(UncertainPose(base(0, 0), CERTAIN))
    early.publish(msg)
    parameters = MOUNTED | {'when_lost': True, 'never_localized_s': 0.0}
    with node('pose_bridge', tmp_path, 'late', parameters) as process:
        robot = Robot(client, 'late', process)
        wait_until(early.get_subscription_count, 'the bridge hears what AMCL said')
        time.sleep(0.3)
        for _ in range(5):
            robot.localizer_says(base(0, 0))
        time.sleep(QUIET_S)
        assert robot.told == []
        client.node.destroy_subscription(robot.listener)
        service = '/late/pose_bridge/send_initial_pose'
        wait_until(
            lambda: 'nobody listens' in client.call(Trigger, service).message,
            'it says that nobody would hear the pose',
        )


def test_it_says_what_is_wrong_and_does_not_start(ros, tmp_path):
    cases = {
        'unmounted': {},
        'words': {'camera_in_base': 'in front'},
        'unknown': MOUNTED | {'agree_metres': 1.0},
        'range': MOUNTED | {'num_agreeing': 0},
    }
    try:
        import tf2_ros  # noqa: F401
    except ImportError:
        cases['tf'] = MOUNTED | {'publish_tf': True}
        cases['frame'] = {'camera_frame': 'front_camera'}
    said = {
        'unmounted': 'Set camera_in_base',
        'words': "wrong setting camera_in_base = 'in front'",
        'unknown': 'unknown setting agree_metres',
        'range': 'wrong setting num_agreeing = 0',
        'tf': 'publish_tf needs tf2_ros, which cannot be imported',
        'frame': 'camera_frame:=front_camera without camera_in_base needs tf2_ros',
    }
    for name, (code, output) in ends_of('pose_bridge', tmp_path, cases).items():
        assert code == 1, name
        assert said[name] in output
        assert 'Traceback' not in output


@pytest.fixture
def transforms(request):
    """Type and topic of broadcast transforms: tf2's, or a stand-in's where there is no tf2."""
    try:
        import tf2_ros  # noqa: F401
    except ImportError:
        request.getfixturevalue('tf2_stand_in')
        return TransformStamped, '/tf/tf_stand_in'
    from tf2_msgs.msg import TFMessage

    return TFMessage, '/tf'


def test_map_to_odom_is_published_once_verified_poses_agree(client, tmp_path, transforms):
    with node('pose_bridge', tmp_path, 'tf', MOUNTED | {'publish_tf': True}) as process:
        robot = Robot(client, 'tf', process)
        heard = client.hears(*transforms)
        for number in range(6):
            x = number % 3
            stamp = robot.wheels_say(base(x, 0))
            time.sleep(0.1)
            if number < 3:
                assert len(heard) == 0
            robot.localizer_says(base(x + 10, 3), stamp=stamp)
        robot.wheels_say(base(5, 0))
        found = heard.wait_for(lambda m: True, 'a transform')
        found = getattr(found, 'transforms', [found])[0]
        assert (found.header.frame_id, found.child_frame_id) == ('map', 'odom')
        at = found.transform.translation
        assert (at.x, at.y) == pytest.approx((10, 3), abs=1e-3)


@pytest.mark.usefixtures('tf2_stand_in')
def test_the_camera_is_looked_up_in_tf(client, tmp_path):
    with node('pose_bridge', tmp_path, 'mount', {'camera_frame': 'front_camera'}) as process:
        robot = Robot(client, 'mount', process)
        for _ in range(4):
            robot.localizer_says(base(2, 1, 40))
        robot.ask_until_sent()
        sent = robot.told[0] if robot.told else wait_until(lambda: robot.told, 'it arrives')[0]
        assert pose_from_msg(sent.pose.pose).position_m == pytest.approx((2, 1, 0), abs=1e-3)

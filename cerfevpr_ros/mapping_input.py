"""What the mapper hears beside its camera: poses and depth, found again by an image's stamp."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias, cast, get_args

from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from cerfevpr_core.config import MappingConfig
from cerfevpr_core.errors import CerfeVPRError, ConfigError
from cerfevpr_core.geometry import Pose
from cerfevpr_core.pixel_formats import Depth
from cerfevpr_core.stamped import Recent, pose_at
from cerfevpr_ros.conversions import depth_from_msg, pose_from_msg, stamp_to_ns
from cerfevpr_ros.parameters import own_parameter

PoseSource = Literal['none', 'odom', 'pose', 'pose_with_covariance']
PoseMsg: TypeAlias = Odometry | PoseStamped | PoseWithCovarianceStamped

_TOPICS: dict[str, tuple[type, str]] = {
    'odom': (Odometry, 'odom'),
    'pose': (PoseStamped, 'pose'),
    'pose_with_covariance': (PoseWithCovarianceStamped, 'pose'),
}
# Best effort hears reliable publishers too.
_POSES = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
_DEPTH = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
_MAX_POSES, _MAX_DEPTHS = 2000, 8  # ten seconds of fast odometry; images are large


class MappingInput:
    """Listens to `odom` or `pose`, and to `depth`, between `start` and `stop`.

    Its parameters `pose_source`, `camera_in_base` and `use_depth` are read once.
    """

    def __init__(self, node: Node) -> None:
        source = own_parameter(node, 'pose_source', 'none')
        if source not in get_args(PoseSource):
            expected = ', '.join(get_args(PoseSource))
            raise ConfigError(f'wrong setting pose_source = {source!r}: expected {expected}')
        self.source = cast(PoseSource, source)
        self.use_depth: bool = own_parameter(node, 'use_depth', False)
        self._node = node
        self._camera_in_base = _camera_in_base(node)
        self._config = MappingConfig()
        self._poses: Recent[Pose] = Recent(_MAX_POSES)
        self._depths: Recent[Image] = Recent(_MAX_DEPTHS)
        self._listening: list[Any] = []
        if source == 'odom' and self._camera_in_base is None:
            node.get_logger().warning(
                'poses from odom are taken for those of the camera (x right, y down, z forward); '
                'where they are of the base, set camera_in_base'
            )

    def start(self, config: MappingConfig) -> None:
        """Listen, with nothing heard so far."""
        self._config = config
        self._poses.clear()
        self._depths.clear()
        subscribe = self._node.create_subscription
        if self.source != 'none':
            kind, topic = _TOPICS[self.source]
            self._listening.append(subscribe(kind, topic, self._on_pose, _POSES))
        if self.use_depth:
            self._listening.append(subscribe(Image, 'depth', self._on_depth, _DEPTH))

    def stop(self) -> None:
        """Stop listening. May come twice."""
        for subscription in self._listening:
            self._node.destroy_subscription(subscription)
        self._listening = []

    def pose(self, stamp_ns: int) -> Pose | None:
        """The camera's pose when an image was taken; waits for one that is on its way."""
        config = self._config
        gaps_s = config.max_pose_gap_s, config.max_stamp_gap_s
        return pose_at(self._poses, stamp_ns, *gaps_s, wait_s=config.max_wait_s)

    def depth(self, stamp_ns: int, may_wait: bool = True) -> Depth | None:
        """Depth (H, W) in metres of an image. Raises ImageError for one that cannot be read."""
        config = self._config
        wait_s = config.max_wait_s if may_wait else 0.0
        msg = self._depths.nearest(stamp_ns, config.max_stamp_gap_s, wait_s)
        return None if msg is None else depth_from_msg(msg)

    def _on_pose(self, msg: PoseMsg) -> None:
        inner = msg.pose if isinstance(msg, PoseStamped) else msg.pose.pose
        try:
            pose = pose_from_msg(inner)
        except CerfeVPRError as error:
            self._node.get_logger().warning(f'pose ignored: {error}', throttle_duration_sec=5.0)
            return
        if self._camera_in_base is not None:
            pose = pose @ self._camera_in_base
        self._poses.put(stamp_to_ns(msg.header.stamp), pose)

    def _on_depth(self, msg: Image) -> None:
        self._depths.put(stamp_to_ns(msg.header.stamp), msg)


def _camera_in_base(node: Node) -> Pose | None:
    """The parameter, numbers or a text of them; None where it is empty. Raises ConfigError."""
    name = 'camera_in_base'
    if not node.has_parameter(name):
        node.declare_parameter(name, '', ParameterDescriptor(dynamic_typing=True))
    value = node.get_parameter(name).value
    try:
        numbers = [float(n) for n in (value.split() if isinstance(value, str) else value or ())]
    except (TypeError, ValueError):
        numbers = [math.nan]
    if not numbers:
        return None
    length = math.hypot(*numbers[3:])
    if len(numbers) != 7 or not all(map(math.isfinite, numbers)) or not 0.9 < length < 1.1:
        raise ConfigError(
            f'wrong setting {name} = {value!r}: expected x, y, z in metres and a unit quaternion '
            'qx, qy, qz, qw'
        )
    x, y, z, qx, qy, qz, qw = numbers
    return Pose((x, y, z), (qx / length, qy / length, qz / length, qw / length))

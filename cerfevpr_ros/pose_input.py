"""Poses of the camera from odometry or SLAM, found again by an image's stamp."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, cast, get_args

from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from cerfevpr_core.config import MappingConfig
from cerfevpr_core.errors import CerfeVPRError, ConfigError
from cerfevpr_core.geometry import Pose
from cerfevpr_core.stamped import Recent, pose_at
from cerfevpr_ros.conversions import pose_from_msg, stamp_to_ns
from cerfevpr_ros.mounting import camera_in_base_if_known
from cerfevpr_ros.parameters import own_parameter

PoseSource = Literal['none', 'odom', 'pose', 'pose_with_covariance']
PoseMsg: TypeAlias = Odometry | PoseStamped | PoseWithCovarianceStamped

_TOPICS: dict[str, tuple[type, str]] = {
    'odom': (Odometry, 'odom'),
    'pose': (PoseStamped, 'pose'),
    'pose_with_covariance': (PoseWithCovarianceStamped, 'pose'),
}
# Best effort hears reliable publishers too.
_QOS = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
_MAX_POSES = 2000  # ten seconds of fast odometry


class PoseInput:
    """Listens to `odom` or `pose` between `start` and `stop`.

    Its parameters `pose_source`, and where the camera is on the robot, are read once.
    """

    def __init__(self, node: Node) -> None:
        source = own_parameter(node, 'pose_source', 'none')
        if source not in get_args(PoseSource):
            expected = ', '.join(get_args(PoseSource))
            raise ConfigError(f'wrong setting pose_source = {source!r}: expected {expected}')
        self.source = cast(PoseSource, source)
        self._node = node
        self._camera_in_base = camera_in_base_if_known(node)
        self._config = MappingConfig()
        self._poses: Recent[Pose] = Recent(_MAX_POSES)
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
        if self.source != 'none':
            kind, topic = _TOPICS[self.source]
            self._listening = [self._node.create_subscription(kind, topic, self._on_pose, _QOS)]

    def stop(self) -> None:
        """Stop listening. May come twice."""
        for subscription in self._listening:
            self._node.destroy_subscription(subscription)
        self._listening = []

    def pose(self, stamp_ns: int, may_wait: bool = True) -> Pose | None:
        """The camera's pose when an image was taken; may wait for one that is on its way."""
        config = self._config
        gaps_s = config.max_pose_gap_s, config.max_stamp_gap_s
        wait_s = config.max_wait_s if may_wait else 0.0
        return pose_at(self._poses, stamp_ns, *gaps_s, wait_s=wait_s)

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

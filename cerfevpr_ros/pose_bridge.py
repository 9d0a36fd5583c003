"""The pose bridge: verified poses of the localizer -> `initialpose`, and map->odom if wanted."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Any

import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from cerfevpr_core.errors import CerfeVPRError, ConfigError
from cerfevpr_core.geometry import Pose
from cerfevpr_core.pose_bridge import BridgeOptions, Localization, PoseBridge
from cerfevpr_core.stamped import Recent, pose_at
from cerfevpr_ros.conversions import (
    pose_from_msg,
    pose_to_transform,
    stamp_to_ns,
    uncertain_pose_from_msg,
    uncertain_pose_to_msg,
)
from cerfevpr_ros.executor import StandingExecutor
from cerfevpr_ros.mounting import camera_in_base, require_tf2
from cerfevpr_ros.parameters import own_parameter
from cerfevpr_ros.program import run_program, shut_down

_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_BEST_EFFORT = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
# Volatile: who starts later must not take an old pose for a new one.
_ONE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
# As AMCL publishes its pose: the last one for whoever comes.
_LATCHED = QoSProfile(
    depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
_MAX_ODOMETRY = 2000  # ten seconds of a fast one
_MAX_GAP_S, _MAX_SINGLE_S = 0.5, 0.1
_WARN_S = 5.0
_DEFAULTS: dict[str, Any] = {
    'when_lost': False,  # send by itself when the robot is lost; else on request only
    'localization_is_latched': True,  # AMCL's pose is; slam_toolbox's is not
    'publish_tf': False,  # map->odom; then nobody else may
    'map_frame': 'map',
    'odom_frame': 'odom',
}
_OF_MOUNTING = ('camera_in_base', 'camera_frame', 'base_frame')


class PoseBridgeNode(Node):
    """Hears `localizer/pose`, `odom` and `amcl_pose`; sends `initialpose` once, or not at all."""

    def __init__(self) -> None:
        super().__init__('pose_bridge', automatically_declare_parameters_from_overrides=True)
        self.own = {name: own_parameter(self, name, d) for name, d in _DEFAULTS.items()}
        defaults = BridgeOptions()
        names = [field.name for field in fields(BridgeOptions)]
        _require_known(self, {*_DEFAULTS, *_OF_MOUNTING, *names})
        options = BridgeOptions(**{n: own_parameter(self, n, getattr(defaults, n)) for n in names})
        self.broadcaster = self._broadcaster()
        self.bridge = PoseBridge(options, camera_in_base(self), self._now_ns())
        self.odometry: Recent[Pose] = Recent(_MAX_ODOMETRY)
        self.initial_poses = self.create_publisher(PoseWithCovarianceStamped, 'initialpose', _ONE)
        latched = _LATCHED if self.own['localization_is_latched'] else _RELIABLE
        hears = self.create_subscription
        hears(PoseWithCovarianceStamped, 'localizer/pose', self._on_verified, _RELIABLE)
        hears(PoseWithCovarianceStamped, 'amcl_pose', self._on_localization, latched)
        hears(Odometry, 'odom', self._on_odometry, _BEST_EFFORT)
        self.create_service(Trigger, '~/send_initial_pose', self._on_request)

    def _on_verified(self, msg: PoseWithCovarianceStamped) -> None:
        stamp_ns = stamp_to_ns(msg.header.stamp)
        try:
            self._require_map_frame(msg.header)
            camera = uncertain_pose_from_msg(msg.pose)
            lost = self.bridge.see(stamp_ns, camera, self._odom(stamp_ns), self._now_ns())
        except CerfeVPRError as error:
            self._warn(f'verified pose ignored: {error}')
            return
        if lost and self.own['when_lost'] and not self._refusal():
            self._send(f'lost: {lost}')

    def _on_localization(self, msg: PoseWithCovarianceStamped) -> None:
        stamp_ns = stamp_to_ns(msg.header.stamp)
        try:
            self._require_map_frame(msg.header)
            pose = uncertain_pose_from_msg(msg.pose)
        except CerfeVPRError as error:
            self._warn(f'localization pose ignored: {error}')
            return
        self.bridge.localized(Localization(stamp_ns, pose, self._odom(stamp_ns)))

    def _on_odometry(self, msg: Odometry) -> None:
        try:
            self.odometry.put(stamp_to_ns(msg.header.stamp), pose_from_msg(msg.pose.pose))
        except CerfeVPRError as error:
            self._warn(f'odometry ignored: {error}')
            return
        transform = self.bridge.map_to_odom.transform
        if self.broadcaster is not None and transform is not None:
            self.broadcaster.sendTransform(
                TransformStamped(
                    header=Header(stamp=msg.header.stamp, frame_id=self.own['map_frame']),
                    child_frame_id=self.own['odom_frame'],
                    transform=pose_to_transform(transform),
                )
            )

    def _on_request(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        reason = self._refusal()
        response.success = not reason
        response.message = reason or self._send('asked for')
        return response

    def _refusal(self) -> str:
        if not self.initial_poses.get_subscription_count():
            return f'nobody listens to {self.initial_poses.topic_name}'
        return self.bridge.refusal(self._now_ns())

    def _send(self, why: str) -> str:
        seen = self.bridge.take(self._now_ns())
        msg = PoseWithCovarianceStamped(pose=uncertain_pose_to_msg(seen.base))
        msg.header.frame_id = self.own['map_frame']
        msg.header.stamp = rclpy.time.Time(nanoseconds=seen.stamp_ns).to_msg()
        self.initial_poses.publish(msg)
        x, y, _ = seen.base.pose.position_m
        told = f'sent the pose at x {x:.2f} m, y {y:.2f} m to {self.initial_poses.topic_name}'
        self.get_logger().info(f'{told} ({why})')
        return told

    def _odom(self, stamp_ns: int) -> Pose | None:
        return pose_at(self.odometry, stamp_ns, _MAX_GAP_S, _MAX_SINGLE_S)

    def _require_map_frame(self, header: Header) -> None:
        found, expected = header.frame_id.lstrip('/'), self.own['map_frame']
        if found != expected:
            raise CerfeVPRError(
                f'it is in the frame {found!r}, expected {expected!r}; set map_frame of the '
                'localizer and of the bridge to the same frame'
            )

    def _broadcaster(self) -> Any:
        if not self.own['publish_tf']:
            return None
        return require_tf2('publish_tf').TransformBroadcaster(self)

    def _warn(self, text: str) -> None:
        self.get_logger().warning(text, throttle_duration_sec=_WARN_S)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def _require_known(node: Node, names: set[str]) -> None:
    known = names | {'use_sim_time', 'start_type_description_service'}
    for name in node.get_parameters_by_prefix(''):
        if name not in known and not name.startswith('qos_overrides.'):
            raise ConfigError(f'unknown setting {name}; there are {", ".join(sorted(names))}')


def main(arguments: list[str] | None = None) -> int:
    """Run the node until it is told to stop; 1 if it cannot start."""
    return run_program('pose_bridge', PoseBridgeNode, _run, arguments)


def _run(node: PoseBridgeNode) -> int:
    executor = StandingExecutor()
    executor.add_node(node)
    with shut_down(executor):
        executor.spin()
    return 0


if __name__ == '__main__':
    sys.exit(main())

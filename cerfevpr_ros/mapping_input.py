"""What the mapper hears beside its camera: poses and depth, found again by an image's stamp."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from cerfevpr_core.config import MappingConfig
from cerfevpr_core.geometry import Pose
from cerfevpr_core.pixel_formats import Depth
from cerfevpr_core.stamped import Recent
from cerfevpr_ros.conversions import depth_from_msg, stamp_to_ns
from cerfevpr_ros.parameters import own_parameter
from cerfevpr_ros.pose_input import PoseInput, PoseSource

# Best effort hears reliable publishers too.
_DEPTH = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
_MAX_DEPTHS = 8  # images are large


class MappingInput:
    """Listens to `odom` or `pose`, and to `depth`, between `start` and `stop`.

    Its parameter `use_depth` is read once, as those of its poses.
    """

    def __init__(self, node: Node) -> None:
        self.poses = PoseInput(node)
        self.use_depth: bool = own_parameter(node, 'use_depth', False)
        self._node = node
        self._config = MappingConfig()
        self._depths: Recent[Image] = Recent(_MAX_DEPTHS)
        self._listening: list[Any] = []

    @property
    def source(self) -> PoseSource:
        """Where poses come from."""
        return self.poses.source

    def start(self, config: MappingConfig) -> None:
        """Listen, with nothing heard so far."""
        self._config = config
        self._depths.clear()
        self.poses.start(config)
        if self.use_depth:
            subscribe = self._node.create_subscription
            self._listening = [subscribe(Image, 'depth', self._on_depth, _DEPTH)]

    def stop(self) -> None:
        """Stop listening. May come twice."""
        self.poses.stop()
        for subscription in self._listening:
            self._node.destroy_subscription(subscription)
        self._listening = []

    def pose(self, stamp_ns: int) -> Pose | None:
        """The camera's pose when an image was taken; waits for one that is on its way."""
        return self.poses.pose(stamp_ns)

    def depth(self, stamp_ns: int, may_wait: bool = True) -> Depth | None:
        """Depth (H, W) in metres of an image. Raises ImageError for one that cannot be read."""
        config = self._config
        wait_s = config.max_wait_s if may_wait else 0.0
        msg = self._depths.nearest(stamp_ns, config.max_stamp_gap_s, wait_s)
        return None if msg is None else depth_from_msg(msg)

    def _on_depth(self, msg: Image) -> None:
        self._depths.put(stamp_to_ns(msg.header.stamp), msg)

"""The mapper's loop closures: looked for in a thread of their own, published once each."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from cerfevpr_core.errors import CerfeVPRError
from cerfevpr_core.live_map import Added, LiveMapper
from cerfevpr_core.loop_closure import LoopCloser
from cerfevpr_core.view import View
from cerfevpr_msgs.msg import LoopClosure
from cerfevpr_ros.results import loop_closure_to_msg
from cerfevpr_ros.worker import OrderedWorker

_RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
_MAX_WAITING = 8  # keyframes with their images; a robot that stands lets it catch up


class LoopPublisher:
    """Takes each new keyframe between `open` and `close`; publishes `~/loop_closures`."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(LoopClosure, '~/loop_closures', _RELIABLE)
        self._closer: LoopCloser | None = None
        self._worker: OrderedWorker[tuple[int, View, Header]] | None = None
        self.num_closed, self.last_reason = 0, ''

    def open(self, live_map: LiveMapper) -> None:
        """Look for loops in this map from now on, if settings and map allow.

        Raises CerfeVPRError, and goes on as before.
        """
        wanted = live_map.config.loop.enabled
        if wanted and live_map.maker.detector is None:
            self._node.get_logger().info('the map keeps no keypoints: no loop is closed')
            wanted = False
        closer = LoopCloser(live_map.config, live_map.place_map) if wanted else None
        self.close()
        if closer is not None:
            self._closer, self._worker = closer, OrderedWorker(self._serve, _MAX_WAITING)

    def take(self, added: Added, header: Header) -> None:
        """A new keyframe; never waits."""
        if self._worker is not None and added.view is not None:
            self._worker.submit((added.keyframe_id, added.view, header))

    def close(self) -> None:
        """Finish the keyframe in work; the map is not used any more. May come twice."""
        if self._worker is not None:
            self._worker.stop()
        self._worker = self._closer = None

    def about(self) -> dict[str, str]:
        """For the diagnostics."""
        return {
            'loops closed': str(self.num_closed),
            'last reason for no loop closure': self.last_reason or '-',
            'keyframes too many for loop closure': str(
                self._worker.num_dropped if self._worker else 0
            ),
        }

    def _serve(self, item: tuple[int, View, Header]) -> None:
        keyframe_id, view, header = item
        assert self._closer is not None
        try:
            answer = self._closer.update(keyframe_id, view)
        except CerfeVPRError as error:
            self._node.get_logger().warning(f'no loop closure: {error}', throttle_duration_sec=5.0)
            return
        self.last_reason = answer.reason or self.last_reason
        if answer.closure is None:
            return
        self.num_closed += 1
        try:
            self._publisher.publish(loop_closure_to_msg(answer.closure, header))
        except Exception:
            if self._node.context.ok():  # else the node was told to stop meanwhile
                raise

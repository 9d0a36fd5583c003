"""An executor that one bad request cannot end."""

from __future__ import annotations

import traceback
from typing import Any

from rclpy.executors import ShutdownException, SingleThreadedExecutor, TimeoutException


class StandingExecutor(SingleThreadedExecutor):
    """Logs what a callback raises and goes on, where rclpy's own lets it end the node.

    Some callbacks are rclpy's: its parameter services raise for a value of an unknown type, and
    whoever reaches the node's domain can send one. The caller gets no response then.
    """

    def spin_once(self, timeout_sec: Any = None) -> None:
        """Run one callback, if one is ready in time."""
        try:
            handler, entity, node = self.wait_for_ready_callbacks(timeout_sec=timeout_sec)
        except (ShutdownException, TimeoutException):
            return
        handler()
        error = handler.exception()
        if error is None:
            return
        # Told to stop meanwhile; or nothing could be taken, after which rclpy never looks at this
        # topic or service again: better no node than a deaf one.
        if not self.context.ok() or getattr(entity, '_executor_event', False):
            raise error
        told = ''.join(traceback.format_exception(error))
        assert node is not None
        node.get_logger().error(f'a callback failed: {told}', throttle_duration_sec=5.0)

"""A lifecycle node that works in one map: what the localizer and the mapper have in common."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy

from cerfevpr_core.errors import CerfeVPRError, ConfigError, MapError
from cerfevpr_ros import bridge
from cerfevpr_ros.camera_input import CameraInput
from cerfevpr_ros.diagnostics import to_msg

_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


class MapNode(LifecycleNode):
    """Configure opens the map, activate listens; a child says how, and what it does there.

    The last line of a child's constructor is `self.is_whole = True`: a wrong parameter ends the
    constructor before, and what is there so far is destroyed.
    """

    is_whole = False
    input: CameraInput

    def __init__(self, name: str, **node_options: Any) -> None:
        super().__init__(
            name, automatically_declare_parameters_from_overrides=True, **node_options
        )
        self.diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', _RELIABLE)
        self.create_timer(1.0, self._report)

    def open(self) -> None:
        """Open the map, and run the network once so that it is warm. Raises CerfeVPRError."""
        raise NotImplementedError

    def start_listening(self) -> None:
        """Subscribe to the camera, and to what comes beside it."""
        raise NotImplementedError

    def stop_listening(self) -> None:
        """Listen to nothing any more; may be called twice."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop listening and close the map; may be called twice."""
        raise NotImplementedError

    def about(self) -> dict[str, str]:
        """What `/diagnostics` says of the map in use; nothing without one."""
        raise NotImplementedError

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the map."""
        try:
            self.close()  # what an earlier, failed configure left
            bridge.cv_bridge()  # its check takes a moment: now, not at the first image
            self.open()
        except Exception as error:  # rclpy itself would swallow it without a word
            if isinstance(error, CerfeVPRError):
                self.get_logger().error(str(error))
            elif self.context.ok():  # else it was told to stop meanwhile
                self.get_logger().error(traceback.format_exc())
            self.close()
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen."""
        self.start_listening()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening; the map stays open, for the services."""
        self.stop_listening()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the map."""
        self.close()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close everything."""
        self.close()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Close everything first."""
        if self.is_whole:
            self.close()
        super().destroy_node()

    def _report(self) -> None:
        name = self.get_fully_qualified_name().lstrip('/')
        counts, listens = self.input.num_dropped, self.input.is_listening
        msg = to_msg(name, self.input.record, counts, self.about(), listens)
        msg.header.stamp = self.get_clock().now().to_msg()
        self.diagnostics.publish(msg)


def folder_of(values: Mapping[str, Any], how_to_make_one: str) -> Path:
    """The map that settings name. Raises ConfigError and MapError where they name none."""
    path = values.get('map.path', '')
    if not isinstance(path, str):
        raise ConfigError(f'wrong setting map.path = {path!r}: expected text; quote it')
    if not path:
        raise MapError(f'no map: set map.path (launch argument map:=DIR) to {how_to_make_one}')
    return Path(path).expanduser()

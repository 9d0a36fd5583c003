"""Where the camera sits on the robot: by parameter, or by tf2 where that is installed."""

from __future__ import annotations

import time
from array import array
from typing import Any

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node

from cerfevpr_core.errors import CerfeVPRError, ConfigError
from cerfevpr_core.geometry import Pose, parse_pose
from cerfevpr_ros.conversions import transform_to_pose
from cerfevpr_ros.parameters import own_parameter

_LOOK_S = 0.1


def camera_in_base(node: Node, patience_s: float = 10.0) -> Pose:
    """The camera's optical frame in the robot's base. Raises ConfigError.

    The parameter `camera_in_base`; where it is empty, what tf2 says of `camera_frame` in
    `base_frame`, once that is known.
    """
    given = camera_in_base_parameter(node)
    frame = own_parameter(node, 'camera_frame', '')
    base_frame = own_parameter(node, 'base_frame', 'base_link')
    if given is not None:
        return given
    if not frame:
        raise ConfigError(
            'where is the camera on the robot? Set camera_in_base to `x y z qx qy qz qw` (metres; '
            'the optical frame in the base), or camera_frame to its frame in tf'
        )
    return _from_tf(node, base_frame, frame, patience_s)


def camera_in_base_if_known(node: Node) -> Pose | None:
    """As `camera_in_base`, but None where neither parameter is set: poses are of the camera."""
    frame = own_parameter(node, 'camera_frame', '')
    return camera_in_base(node) if frame else camera_in_base_parameter(node)


def require_tf2(wanted_by: str) -> Any:
    """The module tf2_ros. Raises ConfigError where it is not installed."""
    try:
        import tf2_ros
    except ImportError as error:
        raise ConfigError(
            f'{wanted_by} needs tf2_ros, which cannot be imported ({error}); install '
            'ros-$ROS_DISTRO-tf2-ros, or leave it out'
        ) from None
    return tf2_ros


def _from_tf(node: Node, base_frame: str, frame: str, patience_s: float) -> Pose:
    tf2_ros = require_tf2(f'camera_frame:={frame} without camera_in_base')
    buffer = tf2_ros.Buffer()
    listener = tf2_ros.TransformListener(buffer, node)
    deadline = time.monotonic() + patience_s
    try:
        while True:
            rclpy.spin_once(node, timeout_sec=_LOOK_S)
            try:
                found = buffer.lookup_transform(base_frame, frame, rclpy.time.Time())
                return transform_to_pose(found.transform)
            except tf2_ros.TransformException as error:
                if time.monotonic() > deadline:
                    raise ConfigError(
                        f'tf has no {frame} in {base_frame} after {patience_s:g} s ({error}); is '
                        'robot_state_publisher running? Else set camera_in_base'
                    ) from None
    except CerfeVPRError as error:
        raise ConfigError(str(error)) from None
    finally:
        listener.unregister()


def camera_in_base_parameter(node: Node) -> Pose | None:
    """`camera_in_base`, numbers or a text of them; None where it is empty. Raises ConfigError."""
    name = 'camera_in_base'
    if not node.has_parameter(name):
        node.declare_parameter(name, '', ParameterDescriptor(dynamic_typing=True))
    value = node.get_parameter(name).value
    is_list = isinstance(value, (list, tuple, array))
    text = ' '.join(map(str, value)) if is_list else '' if value is None else str(value)
    return parse_pose(text, f'setting {name} =') if text.strip() else None

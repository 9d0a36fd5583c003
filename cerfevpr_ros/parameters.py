"""The core's settings as ROS parameters, under the same names."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from cerfevpr_core.config import Config, config_from_settings, running_settings
from cerfevpr_core.errors import CerfeVPRError, ConfigError

# Parameters that every node has.
_OF_ROS = frozenset({'use_sim_time', 'start_type_description_service'})


class SettingsFromParameters:
    """Which settings somebody gave a node, and which come from the map or are defaults.

    The node is made with `automatically_declare_parameters_from_overrides`, so that a wrong name
    is seen and refused instead of ignored. `own` are names that are the node's, not the core's.
    `live` are settings that may change while in use: each is called with the checked tree, and
    raises CerfeVPRError to refuse.
    """

    def __init__(
        self,
        node: Node,
        own: frozenset[str],
        live: Mapping[str, Callable[[Config], None]] | None = None,
    ) -> None:
        self._node = node
        self._live = live or {}
        self._not_settings = _OF_ROS | own
        self._given = {n for n in node.get_parameters_by_prefix('') if self._is_setting(n)}
        self._locked = False
        self._filling_in = False
        node.add_on_set_parameters_callback(self._on_set)
        self._show(running_settings(Config()))  # ROS refuses to set what is not declared

    def given(self) -> dict[str, Any]:
        """Those given on the command line, in YAML, or by `ros2 param set` before configure."""
        return {name: _plain(self._node.get_parameter(name).value) for name in self._given}

    def in_use(self, values: Mapping[str, Any]) -> None:
        """Show every setting in use as a parameter, and hold them until `unlock`."""
        self._show(values)
        self._locked = True

    def unlock(self) -> None:
        """The settings are not in use any more; they may be set for the next configure."""
        self._locked = False

    def _show(self, values: Mapping[str, Any]) -> None:
        any_type = ParameterDescriptor(dynamic_typing=True)  # the core checks, and says more
        self._filling_in = True
        for name, value in values.items():
            value = list(value) if isinstance(value, tuple) else value
            if not self._node.has_parameter(name):
                self._node.declare_parameter(name, value, any_type)
            elif name not in self._given:
                self._node.set_parameters([Parameter(name, value=value)])
        self._filling_in = False

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        names = [p.name for p in parameters if self._is_setting(p.name)]
        if self._filling_in or not names:
            return SetParametersResult(successful=True)
        if self._locked and not self._live.keys() >= set(names):
            node = self._node.get_fully_qualified_name()
            reason = (
                f'{", ".join(names)}: settings are read when the node is configured; '
                f'`ros2 lifecycle set {node} deactivate` and `cleanup` first'
            )
            return SetParametersResult(successful=False, reason=reason)
        try:
            values = {p.name: _plain(p.value) for p in parameters if p.name in names}
            config = config_from_settings(values)
            for name in names if self._locked else ():
                self._live[name](config)
        except CerfeVPRError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._given.update(names)
        return SetParametersResult(successful=True)

    def _is_setting(self, name: str) -> bool:
        return name not in self._not_settings and not name.startswith('qos_overrides.')


def own_parameter(node: Node, name: str, default: Any) -> Any:
    """A parameter of the node itself, strictly of the default's type. Raises ConfigError."""
    if not node.has_parameter(name):
        node.declare_parameter(name, default)
    value = node.get_parameter(name).value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise ConfigError(
            f'wrong setting {name} = {value!r}: expected {type(default).__name__}, '
            f'as {name}:={default!r}'
        )
    return value


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, array) else value

"""Calls of the nodes' services that no friend would make. None may end a node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from cerfevpr_msgs.srv import Localize
from cerfevpr_ros.soak.phases import Stage
from cerfevpr_ros.soak.rig import Rig, raw_msg

_MEGABYTE = 'x' * 1_000_000
_NAN, _INFINITE = float('nan'), float('inf')


@dataclass(frozen=True)
class Call:
    """A request, whether success would be a failure of ours, and whether silence would."""

    kind: Any
    service: str
    request: Any
    must_fail: bool = True
    must_respond: bool = True


def hostile(stage: Stage, more: Iterable[Call] = ()) -> None:
    """Every call gets a response, and the localizer answers images afterwards."""
    for call in (*calls_of_localizer(stage), *more):
        _try(stage.rig, call)
    stage.rig.ask_surely(stage.images[0], 'after hostile calls')


def _try(rig: Rig, call: Call) -> None:
    patience_s = 20.0 if call.must_respond else 2.0
    response = rig.call(call.kind, call.service, call.request, patience_s)
    rig.tally.count('hostile calls')
    if response is None and not call.must_respond:
        rig.tally.count('without a response')
    elif response is None:
        rig.tally.failed(f'{call.service} does not respond to {_short(call.request)}')
    elif call.must_fail and getattr(response, 'success', False):
        rig.tally.failed(f'{call.service} did what it must not: {_short(call.request)}')
    elif call.must_fail and any(r.successful for r in _results(response)):
        rig.tally.failed(f'{call.service} set what it must not: {_short(call.request)}')
    elif 'internal error' in getattr(response, 'message', ''):
        rig.tally.failed(f'{call.service}: {response.message}')


def calls_of_localizer(stage: Stage) -> Iterator[Call]:
    """Everything hostile that the localizer can be asked."""
    image = raw_msg(stage.images[0], 0)
    for request in _localize_requests(image):
        yield Call(Localize, '/localizer/localize', request)
    huge = Localize.Request(image=image, top_k=2**31 - 1)
    yield Call(Localize, '/localizer/localize', huge, must_fail=False)
    yield from parameter_calls('localizer')


def parameter_calls(node: str) -> Iterator[Call]:
    """Every node has parameters; those in use are locked, and nothing else can be set."""
    settings = f'/{node}/set_parameters'
    for parameters in _parameter_lists():
        request = SetParameters.Request(parameters=[p.to_parameter_msg() for p in parameters])
        yield Call(SetParameters, settings, request)
    bad = Parameter('map.top_k', value=[1] * 100_000).to_parameter_msg()
    at_once = SetParametersAtomically.Request(parameters=[bad])
    yield Call(SetParametersAtomically, f'/{node}/set_parameters_atomically', at_once)
    nothing = Parameter('map.top_k').to_parameter_msg()
    nothing.value = ParameterValue(type=200)
    # rclpy's own code cannot read this type: no response, and the node must live on.
    unknown = SetParameters.Request(parameters=[nothing])
    yield Call(SetParameters, settings, unknown, must_respond=False)
    names = [_MEGABYTE, '', '..', '/etc/passwd', 'map.path', '\u0000', *['x'] * 1000]
    for kind, name in ((GetParameters, 'get'), (DescribeParameters, 'describe')):
        yield Call(kind, f'/{node}/{name}_parameters', kind.Request(names=names), False)
    listing = ListParameters.Request(prefixes=names[1:5] * 100, depth=2**62)
    yield Call(ListParameters, f'/{node}/list_parameters', listing, False)
    labelled = ChangeState.Request()
    labelled.transition.label = 'x' * 10_000  # ROS logs it as it comes
    yield Call(ChangeState, f'/{node}/change_state', labelled)


def _localize_requests(image: Image) -> Iterator[Localize.Request]:
    yield Localize.Request()
    for top_k in (-1, -(2**31)):
        yield Localize.Request(image=image, top_k=top_k)
    yield Localize.Request(image=Image(height=2**32 - 1, width=2**32 - 1, encoding='rgb8'))
    yield Localize.Request(image=Image(height=1, width=1, encoding=_MEGABYTE, data=b'1'))
    yield Localize.Request(image=Image(height=480, width=640, encoding='rgb8', step=1920))
    yield Localize.Request(
        image=Image(height=4, width=4, encoding='rgb8', step=0, data=bytes(30_000_000))
    )
    bayer = Image(height=1, width=1, encoding='bayer_rggb8', step=1, data=b'1')
    yield Localize.Request(image=bayer)


def _parameter_lists() -> Iterator[list[Parameter]]:
    for value in (_MEGABYTE, '/etc', '../../..', [1] * 1_000_000, _NAN, True):
        yield [Parameter('map.path', value=value)]
    yield [Parameter('map.top_k', value=2**62)]
    yield [Parameter('verification.max_std_m', value=_INFINITE)]
    yield [Parameter('no.such.setting', value=1)]
    yield [Parameter(_MEGABYTE, value=1)]
    yield [Parameter('', value=1)]


def _results(response: Any) -> list[Any]:
    found = getattr(response, 'results', None)
    if found is None:
        found = [response.result] if hasattr(getattr(response, 'result', None), 'reason') else []
    return list(found)


def _short(request: Any) -> str:
    return f'{type(request).__name__} {str(request)[:200]}'

"""A lifecycle manager that changes its mind: deactivate, clean up, start again, and nonsense."""

from __future__ import annotations

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState

from cerfevpr_ros.soak.phases import Stage
from cerfevpr_ros.soak.rig import Rig, raw_msg

_AND_BACK = (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE)
_ANEW = (
    Transition.TRANSITION_DEACTIVATE,
    Transition.TRANSITION_CLEANUP,
    Transition.TRANSITION_CONFIGURE,
    Transition.TRANSITION_ACTIVATE,
)
_NONSENSE = (Transition.TRANSITION_CONFIGURE, 0, 99, 255)
_PATIENCE_S = 60.0


def paused(stage: Stage, node: str = 'localizer') -> None:
    """Stopped and going on, while images keep coming."""
    _through(stage, node, _AND_BACK)


def reloaded(stage: Stage, node: str = 'localizer') -> None:
    """Everything is let go and loaded again."""
    for transition in _NONSENSE:  # refused, and nothing changes
        _change(stage.rig, node, transition)
        stage.rig.tally.count('impossible transitions asked for')
    _through(stage, node, _ANEW)


def _through(stage: Stage, node: str, transitions: tuple[int, ...]) -> None:
    rig = stage.rig
    for transition in transitions:
        for image in stage.images[:3]:
            rig.lens.send(raw_msg(image, rig.stamp_ns()))
        if not _change(rig, node, transition):
            rig.tally.failed(f'{node}: transition {transition} did not succeed')
        rig.tally.count('transitions')
    if (state := _state(rig, node)) != State.PRIMARY_STATE_ACTIVE:
        rig.tally.failed(f'{node} is in state {state} after {transitions}, not active')
    rig.wait_for_listener()
    rig.ask_surely(stage.images[0], f'after transitions {transitions}')


def _change(rig: Rig, node: str, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    response = rig.call(ChangeState, f'/{node}/change_state', request, _PATIENCE_S)
    return response is not None and bool(response.success)


def _state(rig: Rig, node: str) -> int:
    response = rig.call(GetState, f'/{node}/get_state', GetState.Request())
    return -1 if response is None else int(response.current_state.id)

"""Loop closure: which keyframe of its own past a robot sees again."""

from cerfevpr_core.loop_closure.closer import LoopCloser
from cerfevpr_core.loop_closure.closure import LoopAnswer, LoopClosure

__all__ = ['LoopAnswer', 'LoopCloser', 'LoopClosure']

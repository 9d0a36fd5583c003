"""What consecutive images say together: a belief over the map's keyframes and nowhere."""

from cerfevpr_core.sequence.filter import Belief, KeyframeFilter
from cerfevpr_core.sequence.follow import Followed, SequenceFilter
from cerfevpr_core.sequence.keyframe_table import KeyframeTable
from cerfevpr_core.sequence.motion import Motion
from cerfevpr_core.sequence.stream import ImageStream

__all__ = [
    'Belief',
    'Followed',
    'ImageStream',
    'KeyframeFilter',
    'KeyframeTable',
    'Motion',
    'SequenceFilter',
]

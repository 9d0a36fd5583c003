"""Maps and queries with known poses, to measure relocalization on."""

from .drawn import drawn_relocalization
from .posed import Nearby, PosedFrame, PosedFrames, RelocalizationSet, pose_error, some
from .seven_scenes import is_seven_scenes, seven_scenes_relocalization

__all__ = [
    'Nearby',
    'PosedFrame',
    'PosedFrames',
    'RelocalizationSet',
    'drawn_relocalization',
    'is_seven_scenes',
    'pose_error',
    'seven_scenes_relocalization',
    'some',
]

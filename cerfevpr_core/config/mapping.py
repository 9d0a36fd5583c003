"""Settings of a map that grows while the robot drives."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra='forbid', strict=True, allow_inf_nan=False)
_From0 = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, config=_STRICT)
class MappingConfig:
    """When an image becomes a keyframe, and what is matched to it by its stamp."""

    # policy: as the next ones say; service: only what AddKeyframe brings
    keyframes: Literal['policy', 'service'] = 'policy'
    min_distance_m: _From0 = 1.0  # since the last keyframe,
    min_turn_deg: Annotated[float, Field(ge=0, le=180)] = 20.0  # or this: where there are poses
    min_interval_s: _From0 = 1.0  # since the last keyframe, where there are none; 0: every image
    max_interval_s: _From0 = 0.0  # after which a robot that stands adds one too; 0: never
    max_pose_gap_s: _From0 = 0.25  # between two poses that one is interpolated from
    max_stamp_gap_s: _From0 = 0.02  # to a single pose, and to a depth image
    max_wait_s: _From0 = 0.3  # for a pose or depth image that comes later than its image

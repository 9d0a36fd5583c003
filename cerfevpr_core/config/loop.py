"""Settings of loop closure."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra='forbid', strict=True, allow_inf_nan=False)
_From0 = Annotated[float, Field(ge=0)]
_Images = Annotated[int, Field(ge=0, le=10000)]


@dataclass(frozen=True, config=_STRICT)
class LoopConfig:
    """Which keyframes of the robot's own past may close a loop, and what proves that one does."""

    enabled: bool = True  # in maps whose keyframes have keypoints: nothing else can be verified
    # The recent past is left out:
    min_age_s: _From0 = 20.0  # where both keyframes have stamps,
    min_travel_m: _From0 = 10.0  # and on the way, where there are poses;
    min_images: _Images = 20  # in between, where there are neither
    num_candidates: Annotated[int, Field(ge=1, le=100)] = 5  # that are verified, best first
    min_inliers: Annotated[int, Field(ge=6)] = 70  # of two views, if the image before agrees
    sure_inliers: Annotated[int, Field(ge=6)] = 100  # of a match that needs no image before
    # Of two views: left stays left, above stays above, by rank correlation; -1: a camera may roll
    min_order: Annotated[float, Field(ge=-1, le=1)] = 0.85
    min_consecutive: Annotated[int, Field(ge=1, le=100)] = 2  # images that agree, this one too
    max_step: Annotated[int, Field(ge=1, le=1000)] = 4  # keyframes between what they match
    quiet_images: _Images = 10  # around a closure, at both its ends, in which none is sent again

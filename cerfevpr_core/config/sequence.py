"""Settings of the sequence filter: what consecutive images say together."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra='forbid', strict=True, allow_inf_nan=False)
_Chance = Annotated[float, Field(gt=0, lt=1)]
_Above0 = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, config=_STRICT)
class SequenceConfig:
    """A discrete Bayes filter over keyframes, speeds and nowhere; chances are for each image."""

    # auto: where images come in order, as a robot's do; never: each image by itself
    mode: Literal['auto', 'never'] = 'auto'
    jump: _Chance = 0.01  # that the robot was put anywhere
    leave: _Chance = 0.01  # that it left the map; and past the end of a traverse it has
    enter: _Chance = 0.01  # that it comes back, anywhere
    change_speed: _Chance = 0.1  # to the next slower or faster one of the grid
    any_speed: _Chance = 0.02  # to any: stops, turns back
    exchange: _Chance = 0.2  # to a keyframe of the same place in another traverse, by its pose
    descriptor_weight: Annotated[float, Field(ge=0)] = 0.6  # of a spread above the usual
    landmark_weight: Annotated[float, Field(ge=0)] = 0.6
    expected: float = 2.25  # spreads above the usual at which a keyframe is as likely as nowhere
    expected_landmarks: Annotated[float, Field(ge=0)] = 1.5  # and from which landmarks count
    most: _Above0 = 4.0  # natural logarithm of the largest factor by which an image changes odds
    most_landmarks: _Above0 = 3.0  # spreads of landmarks that count at most

"""Settings of the decision: match, unknown or ambiguous."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra='forbid', strict=True, allow_inf_nan=False)


@dataclass(frozen=True, config=_STRICT)
class DecisionConfig:
    """How sure a match must be, and how the map is asked to know that."""

    # of the first candidate; in a map without a calibration map.min_similarity decides
    min_probability: Annotated[float, Field(gt=0, lt=1)] = 0.9
    min_pose_probability: Annotated[float, Field(ge=0, lt=1)] = 0.5  # of what a pose stands on
    # auto: `map build` calibrates at its end; never: only `map calibrate` does
    calibrate: Literal['auto', 'never'] = 'auto'
    num_keyframes: Annotated[int, Field(ge=10)] = 80  # that are asked twice to calibrate
    stale: Annotated[float, Field(gt=0)] = 0.2  # share of keyframes changed that a warning names
    seed: Annotated[int, Field(ge=0)] = 0  # of the changes made to their images

"""The line a traverse follows through the drawn street."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

STEP_M = 0.25
BEFORE_M, AFTER_M = 24.0, 132.0  # street behind the first frame and ahead of the last
SPARE_M = 60.0  # line beyond, for the last house and the last piece of ground


class Centreline:
    """Street coordinates: `along` and `left` of the line, both in metres, to the map's x, y.

    The heading is a sum of slow waves, so that the route winds and is no line from above.
    """

    def __init__(self, rng: np.random.Generator, length_m: float) -> None:
        self.length_m = length_m
        self.along = np.arange(-BEFORE_M, length_m + AFTER_M + SPARE_M, STEP_M)
        waves_m, turns_rad = rng.uniform([150, 230, 390], [190, 300, 480]), [0.16, 0.26, 0.36]
        phases = rng.uniform(0, 2 * np.pi, 3)
        self.heading = sum(
            turn * np.sin(2 * np.pi * self.along / wave + phase)
            for wave, turn, phase in zip(waves_m, turns_rad, phases, strict=True)
        ) * np.ones_like(self.along)
        self.heading = self.heading - self._at(self.heading, 0.0)
        middle = (self.heading[1:] + self.heading[:-1]) / 2
        self.x = np.concatenate([[0.0], np.cumsum(np.cos(middle) * STEP_M)])
        self.y = np.concatenate([[0.0], np.cumsum(np.sin(middle) * STEP_M)])
        self.x, self.y = self.x - self._at(self.x, 0.0), self.y - self._at(self.y, 0.0)

    def _at(self, values: NDArray[np.float64], along: ArrayLike) -> NDArray[np.float64]:
        return np.asarray(np.interp(np.asarray(along, np.float64), self.along, values))

    def heading_rad(self, along: ArrayLike) -> NDArray[np.float64]:
        """Direction of travel, counter-clockwise from the map's x axis."""
        return self._at(self.heading, along)

    def world(self, along: ArrayLike, left: ArrayLike, up: ArrayLike = 0.0) -> NDArray[np.float64]:
        """Map points (..., 3) of street coordinates that broadcast against each other."""
        along, left, up = np.broadcast_arrays(along, left, up)
        heading = self.heading_rad(along)
        x = self._at(self.x, along) - left * np.sin(heading)
        y = self._at(self.y, along) + left * np.cos(heading)
        return np.stack([x, y, np.asarray(up, np.float64)], axis=-1)

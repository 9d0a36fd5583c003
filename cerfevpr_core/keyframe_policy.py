"""When an image of a driving robot becomes a keyframe: by distance, angle or time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cerfevpr_core.config import MappingConfig
from cerfevpr_core.geometry import Pose

_NS = 1_000_000_000


@dataclass(frozen=True)
class Moment:
    """When an image was taken, and where if that is known."""

    stamp_ns: int
    pose: Pose | None = None


class KeyframePolicy:
    """Compares each image with the last keyframe. The first image is always wanted."""

    def __init__(self, config: MappingConfig) -> None:
        self.config = config
        self.last: Moment | None = None

    def reason_against(self, now: Moment) -> str:
        """Why an image taken now is no keyframe; empty if it is one."""
        last = self.last
        if last is None or now.stamp_ns < last.stamp_ns:  # the clock was set back: a new drive
            return ''
        elapsed_s = (now.stamp_ns - last.stamp_ns) / _NS
        if now.pose is None or last.pose is None:
            return self._too_soon(elapsed_s)
        longest_s = self.config.max_interval_s
        if longest_s and elapsed_s >= longest_s:
            return ''
        return self._too_near(last.pose, now.pose)

    def added(self, now: Moment) -> None:
        """An image taken now has become a keyframe, whoever wanted it."""
        self.last = now

    def _too_soon(self, elapsed_s: float) -> str:
        shortest_s = self.config.min_interval_s
        if elapsed_s >= shortest_s:
            return ''
        return f'{elapsed_s:.2f} s after the last keyframe; mapping.min_interval_s is {shortest_s}'

    def _too_near(self, last: Pose, now: Pose) -> str:
        config = self.config
        moved_m, turned_deg = math.dist(last.position_m, now.position_m), turn_deg(last, now)
        if moved_m >= config.min_distance_m or turned_deg >= config.min_turn_deg:
            return ''
        return (
            f'{moved_m:.2f} m and {turned_deg:.0f} degrees from the last keyframe; '
            f'mapping.min_distance_m is {config.min_distance_m}, min_turn_deg '
            f'{config.min_turn_deg}'
        )


def turn_deg(a: Pose, b: Pose) -> float:
    """The angle between two orientations, 0 to 180 degrees."""
    cosine = abs(float(np.dot(a.quaternion, b.quaternion)))  # q and -q are one orientation
    return math.degrees(2 * math.acos(min(1.0, cosine)))

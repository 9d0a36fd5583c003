"""The robot's past: its keyframes in the order it made them, and which of them are recent."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from cerfevpr_core.config import LoopConfig
from cerfevpr_core.geometry import Pose
from cerfevpr_core.place_map import PlaceMap

_JITTER_M = 0.2  # of poses while a robot stands: steps below it are no way


@dataclass(frozen=True)
class Moment:
    """A keyframe when it was made: its place in the order, its stamp, and the way up to it.

    `stamp_ns` is 0 and `travel_m` None where nobody knows.
    """

    rank: int
    traverse: str
    stamp_ns: int = 0
    travel_m: float | None = None


class Past:
    """Keyframes by id, oldest first; each knows how far the robot had come."""

    def __init__(self) -> None:
        self.moments: dict[int, Moment] = {}
        self.ids: list[int] = []  # by rank
        self._travel_m = 0.0
        self._at_m: np.ndarray | None = None  # where the way was measured up to

    @staticmethod
    def of(place_map: PlaceMap) -> Past:
        """That of a map, in the order of its keyframes."""
        past = Past()
        for known in place_map.store.everything():
            past.add(known.keyframe_id, known.stamp_ns, known.pose, known.traverse)
        return past

    def add(self, keyframe_id: int, stamp_ns: int, pose: Pose | None, traverse: str) -> None:
        """The newest keyframe. One that is known already stays where it is."""
        if keyframe_id in self.moments:
            return
        travel_m = None if pose is None else self._come(np.array(pose.position_m))
        rank = len(self.ids)
        self.moments[keyframe_id] = Moment(rank, traverse, stamp_ns, travel_m)
        self.ids.append(keyframe_id)

    def is_recent(self, newer: int, older: int, config: LoopConfig) -> bool:
        """Whether the older keyframe is too near in time or on the way to close a loop."""
        now, then = self.moments[newer], self.moments[older]
        if then.rank >= now.rank:
            return True
        told = False
        if now.stamp_ns and then.stamp_ns:
            told = True
            # Also of a clock that was set back: a stamp of the future says as little as an old one
            if abs(now.stamp_ns - then.stamp_ns) < config.min_age_s * 1e9:
                return True
        if now.travel_m is not None and then.travel_m is not None:
            told = True
            if now.travel_m - then.travel_m < config.min_travel_m:
                return True
        return not told and now.rank - then.rank <= config.min_images

    def num_recent(self, newer: int, config: LoopConfig) -> int:
        """How many keyframes up to this one, itself among them, are too recent to close a loop."""
        until = self.ids[: self.moments[newer].rank + 1]
        return len(list(takewhile(lambda i: self.is_recent(newer, i, config), reversed(until))))

    def apart(self, one: int, other: int) -> int | None:
        """How many keyframes lie between two of one traverse, in either direction."""
        first, second = self.moments.get(one), self.moments.get(other)
        if first is None or second is None or first.traverse != second.traverse:
            return None
        return abs(first.rank - second.rank)

    def beside(self, keyframe_id: int, number: int) -> list[int]:
        """At most so many keyframes next to one, before and after it, nearest first."""
        rank = self.moments[keyframe_id].rank
        order = [rank + sign * step for step in range(1, number + 1) for sign in (-1, 1)]
        inside = [self.ids[r] for r in order if 0 <= r < len(self.ids)]
        return [i for i in inside if self.apart(i, keyframe_id) is not None][:number]

    def _come(self, position_m: np.ndarray) -> float:
        if self._at_m is None:
            self._at_m = position_m
        step_m = float(np.linalg.norm(position_m - self._at_m))
        if step_m >= _JITTER_M:
            self._travel_m += step_m
            self._at_m = position_m
        return self._travel_m

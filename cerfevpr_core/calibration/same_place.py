"""Which keyframes of a map show one place, and which are certainly other places."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from cerfevpr_core.geometry import Pose
from cerfevpr_core.place_map import Candidate

_SPACINGS = 2.5  # of the usual distance to the next keyframe: two keyframes to either side
_FRAMES = 2  # the same without poses, in the order of a traverse
_SAME_DEG, _APART_DEG = 45.0, 60.0  # turned so much, a camera sees other things
_APART = 4.0  # times the reach of a place: from there views have little in common
_OUTSIDE = (12.0, 8.0, _APART)  # times it from where nothing is in common, along a street even


@dataclass(frozen=True)
class SamePlace:
    """The reach of a place, in metres where keyframes have poses, in keyframes where not."""

    reach_m: float = 0.0  # 0: no poses
    reach_frames: int = _FRAMES

    @staticmethod
    def of(keyframes: Sequence[Candidate]) -> SamePlace:
        """As the keyframes of a map stand, in the order they were added."""
        last: dict[str, Pose] = {}
        steps = []
        for keyframe in keyframes:
            if keyframe.pose is None:
                continue
            if keyframe.traverse in last:
                steps.append(_apart_m(last[keyframe.traverse], keyframe.pose))
            last[keyframe.traverse] = keyframe.pose
        moved = [step for step in steps if step > 0]
        return SamePlace(_SPACINGS * statistics.median(moved) if moved else 0.0)

    def joins(self, one: Candidate, other: Candidate) -> bool:
        """Whether both show the same place; an answer that names either is right."""
        if self.reach_m and one.pose is not None and other.pose is not None:
            near = _apart_m(one.pose, other.pose) <= self.reach_m
            return near and _turned_deg(one.pose, other.pose) <= _SAME_DEG
        return one.traverse == other.traverse and _between(one, other) <= self.reach_frames

    def parts(self, one: Candidate, other: Candidate, reaches: float = _APART) -> bool:
        """Whether they show places with little in common; neither this nor `joins`: next to it.

        Of two traverses without poses nobody knows it.
        """
        if self.reach_m and one.pose is not None and other.pose is not None:
            far = _apart_m(one.pose, other.pose) > reaches * self.reach_m
            return far or _turned_deg(one.pose, other.pose) > _APART_DEG
        return (
            one.traverse == other.traverse and _between(one, other) > reaches * self.reach_frames
        )

    def outside(self, one: Candidate, keyframes: Sequence[Candidate]) -> list[Candidate]:
        """Those that have nothing in common with one: half of the map at least, if it can be."""
        for reaches in _OUTSIDE:
            found = [k for k in keyframes if self.parts(one, k, reaches)]
            if 2 * len(found) >= len(keyframes):
                break
        return found


def _between(one: Candidate, other: Candidate) -> int:
    return abs(one.keyframe_id - other.keyframe_id)


def _apart_m(pose0: Pose, pose1: Pose) -> float:
    return math.dist(pose0.position_m, pose1.position_m)


def _turned_deg(pose0: Pose, pose1: Pose) -> float:
    """Between directions of view. Plain numbers: a query asks it for every candidate."""
    cosine = sum(a * b for a, b in zip(_view(pose0), _view(pose1), strict=True))
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def _view(pose: Pose) -> tuple[float, float, float]:
    x, y, z, w = pose.quaternion
    return 2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)

"""Which keyframes of a map show one place, and which are certainly other places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cerfevpr_core.geometry import Pose
from cerfevpr_core.place_map import Candidate

_SPACINGS = 2.5  # of the usual distance to the next keyframe: two keyframes to either side
_FRAMES = 2  # the same without poses, in the order of a traverse
_SAME_DEG, _APART_DEG = 45.0, 60.0  # turned so much, a camera sees other things
_APART = 4.0  # times the reach of a place: from there views have little in common


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
        return SamePlace(_SPACINGS * float(np.median(moved)) if moved else 0.0)

    def joins(self, one: Candidate, other: Candidate) -> bool:
        """Whether both show the same place; an answer that names either is right."""
        if self.reach_m and one.pose is not None and other.pose is not None:
            near = _apart_m(one.pose, other.pose) <= self.reach_m
            return near and _turned_deg(one.pose, other.pose) <= _SAME_DEG
        return one.traverse == other.traverse and _between(one, other) <= self.reach_frames

    def parts(self, one: Candidate, other: Candidate) -> bool:
        """Whether they show places with little in common; neither this nor `joins`: next to it.

        Of two traverses without poses nobody knows it.
        """
        if self.reach_m and one.pose is not None and other.pose is not None:
            far = _apart_m(one.pose, other.pose) > _APART * self.reach_m
            return far or _turned_deg(one.pose, other.pose) > _APART_DEG
        return one.traverse == other.traverse and _between(one, other) > _APART * self.reach_frames


def _between(one: Candidate, other: Candidate) -> int:
    return abs(one.keyframe_id - other.keyframe_id)


def _apart_m(pose0: Pose, pose1: Pose) -> float:
    return float(np.linalg.norm(np.subtract(pose0.position_m, pose1.position_m)))


def _turned_deg(pose0: Pose, pose1: Pose) -> float:
    """Between directions of view."""
    x0, y0, z0, w0 = pose0.quaternion
    x1, y1, z1, w1 = pose1.quaternion
    view0 = (2 * (x0 * z0 + y0 * w0), 2 * (y0 * z0 - x0 * w0), 1 - 2 * (x0 * x0 + y0 * y0))
    view1 = (2 * (x1 * z1 + y1 * w1), 2 * (y1 * z1 - x1 * w1), 1 - 2 * (x1 * x1 + y1 * y1))
    cosine = sum(a * b for a, b in zip(view0, view1, strict=True))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))

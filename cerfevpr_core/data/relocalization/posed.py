"""Frames whose pose is known, and what a relocalization is measured on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.images import Image


@dataclass(frozen=True)
class PosedFrame:
    """RGB (H, W, 3) with the camera's pose; `depth_m` (H, W) along the optical axis, if known.

    Depth is not finite where a pixel's is unknown.
    """

    name: str
    image: Image
    pose: Pose
    depth_m: NDArray[np.float32] | None = None


class PosedFrames(Protocol):
    """Frames of one camera, which can be counted and read in any order."""

    camera: Camera

    def __len__(self) -> int: ...

    def frame(self, number: int) -> PosedFrame: ...


def some(frames: PosedFrames, numbers: Iterable[int] | None = None) -> Iterator[PosedFrame]:
    """The frames of these numbers, or all."""
    for number in range(len(frames)) if numbers is None else numbers:
        yield frames.frame(number)


@dataclass(frozen=True)
class Nearby:
    """Which keyframes show what a query shows: those so near, and turned at most so far."""

    radius_m: float
    turn_deg: float

    def __str__(self) -> str:
        return f'within {self.radius_m:g} m and {self.turn_deg:g} degrees'

    def right(self, query: Pose, keyframes: Sequence[Pose]) -> NDArray[np.bool_]:
        """Of each keyframe, (M,)."""
        errors = [pose_error(query, keyframe) for keyframe in keyframes]
        return np.array([m <= self.radius_m and deg <= self.turn_deg for m, deg in errors], bool)


@dataclass(frozen=True)
class RelocalizationSet:
    """A map, queries by condition, and which keyframes are right for a query."""

    name: str
    keyframes: PosedFrames
    queries: Mapping[str, PosedFrames]
    nearby: Nearby


def pose_error(pose0: Pose, pose1: Pose) -> tuple[float, float]:
    """How far two cameras are apart, in metres and in degrees."""
    distance_m = float(np.linalg.norm(np.subtract(pose0.position_m, pose1.position_m)))
    cosine = abs(float(np.dot(pose0.quaternion, pose1.quaternion)))
    return distance_m, float(np.degrees(2 * np.arccos(min(1.0, cosine))))

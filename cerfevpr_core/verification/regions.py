"""Regions of two images that correspond: the landmarks that matched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.landmarks import LandmarkMatches, Landmarks


@dataclass(frozen=True)
class Regions:
    """Boxes (P, 4) as x, y, width, height in pixels; row p of one matched row p of the other."""

    query_px: NDArray[np.float32]
    keyframe_px: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.query_px)


def matched_regions(
    matches: LandmarkMatches,
    query: Landmarks,
    keyframe: Landmarks,
    query_size: tuple[int, int],
    keyframe_size: tuple[int, int],
) -> Regions:
    """The cells of matched landmarks, in images of these sizes (height, width)."""
    return Regions(
        query.boxes_px(*query_size)[matches.query],
        keyframe.boxes_px(*keyframe_size)[matches.candidate],
    )


def enlarged(boxes_px: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """About their centres: a landmark has seen more of the image than its cell."""
    grown = boxes_px[:, 2:] * np.float32(scale)
    return np.concatenate([boxes_px[:, :2] + (boxes_px[:, 2:] - grown) / 2, grown], axis=1)


def inside(positions_px: NDArray[np.float32], boxes_px: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(N, P): whether a position lies in a box."""
    offsets = positions_px[:, None] - boxes_px[None, :, :2]  # (N, P, 2)
    return np.asarray(((offsets >= 0) & (offsets < boxes_px[None, :, 2:])).all(axis=2))

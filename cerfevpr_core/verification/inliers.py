"""Matches with points of the map, and which of them a pose explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.geometry import Camera
from cerfevpr_core.verification.refine import Array, Observations, project


@dataclass(frozen=True)
class Pool:
    """P matches of a query with points of the map, from any number of keyframes.

    `keypoints` (P,) are the query's, `keyframes` (P,) say whose point it is, `similarities` (P,)
    how alike the descriptors are.
    """

    observations: Observations
    keypoints: NDArray[np.int64]
    keyframes: NDArray[np.int64]
    similarities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.keypoints)


def agreeing(pool: Pool, camera: Camera, pose: Array, limit_px: float) -> NDArray[np.int64]:
    """Matches whose point lies in front of the camera and near its keypoint."""
    pixels, depth = project(camera, pose, pool.observations.points_m)
    errors = np.linalg.norm(pixels - pool.observations.seen_px, axis=1)
    return np.flatnonzero((errors <= limit_px) & (depth > 0))


def one_each(pool: Pool, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of several matches of a keypoint the most similar: the nearest would flatter the fit."""
    best = rows[np.argsort(-pool.similarities[rows], kind='stable')]
    _, first = np.unique(pool.keypoints[best], return_index=True)
    return np.sort(best[first])

"""Where the pose would be if a part of what is seen had moved since the map was made.

A parked car that gave way to one of its kind a hand's breadth further on pulls the pose, and what
is chosen as inliers with it. The first order of leaving it out does not show how far: inliers have
to be chosen again without it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.geometry import Camera
from cerfevpr_core.verification.inliers import Pool, agreeing, one_each
from cerfevpr_core.verification.parts import windows_that_pull
from cerfevpr_core.verification.refine import Array, Fit, motion_between, project, refine

_NEAREST = (0.05, 0.1, 0.2, 0.35)  # shares of the inliers: what moves stands near, and weighs most
_NUM_WINDOWS = 2  # of the image, those whose leaving out moves the pose most
_TURNS, _FEWEST = 3, 12  # of choosing inliers again; inliers that still tell a pose


def motions_without(
    pool: Pool, camera: Camera, fit: Fit, inliers: NDArray[np.int64], limit_px: float
) -> Array:
    """From the fitted pose to that without each suspect part, (S, 6)."""
    found = [
        motion_between(fit.pose, pose)
        for left_out in _suspects(pool, camera, fit, inliers)
        if (pose := _without(pool, camera, fit.pose, left_out, limit_px)) is not None
    ]
    return np.array(found).reshape(-1, 6)


def _suspects(
    pool: Pool, camera: Camera, fit: Fit, inliers: NDArray[np.int64]
) -> Iterator[NDArray[np.bool_]]:
    """Matches (P,) of the pool that are left out together."""
    _, depth = project(camera, fit.pose, pool.observations.points_m)
    for share in _NEAREST:
        yield depth <= np.quantile(depth[inliers], share)
    size_px = (camera.height_px, camera.width_px)
    seen_px = pool.observations.seen_px[inliers]
    for rows in windows_that_pull(fit, seen_px, size_px, _NUM_WINDOWS):
        yield np.isin(pool.keypoints, pool.keypoints[inliers[rows]])


def _without(
    pool: Pool, camera: Camera, pose: Array, left_out: NDArray[np.bool_], limit_px: float
) -> Array | None:
    for _ in range(_TURNS):
        kept = agreeing(pool, camera, pose, limit_px)
        chosen = one_each(pool, kept[~left_out[kept]])
        if len(chosen) < _FEWEST:
            return None
        fit = refine(camera, pose, pool.observations.take(chosen))
        if fit is None:
            return None
        pose = fit.pose
    return pose

"""Whether the map looks, all over the image, as a pose says it should.

A car or a window of one kind, seen in two places, gives many inliers and a pose that fits them.
There, what else the map shows should be in the image as well, and is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cerfevpr_core.geometry import Camera
from cerfevpr_core.verification.keypoints import Keypoints
from cerfevpr_core.verification.map_view import MapView
from cerfevpr_core.verification.matching import similarities
from cerfevpr_core.verification.refine import Array, project

_FEWEST = 10  # points in view, below which nothing can be said


def agreement(
    keypoints: Keypoints,
    ideal_px: Array,
    camera: Camera,
    pose: Array,
    views: Sequence[MapView],
    limit_px: float,
) -> float:
    """Of the map's points that fall on keypoints of the query, the share that match them best.

    A point that falls on one is asked which keypoint of the whole image is the most similar. At a
    true pose it is often the one there, in any light; at a wrong pose hardly ever.
    """
    asked = right = 0
    for view in views:
        known = np.flatnonzero(view.keypoints.has_point)
        if view.pose is None or not len(known):
            continue
        matrix = view.pose.matrix()
        points = view.keypoints.points_m[known] @ matrix[:3, :3].T + matrix[:3, 3]
        pixels, depth = project(camera, pose, points)
        in_view = (depth > 0) & (
            (pixels > 0) & (pixels < [camera.width_px, camera.height_px])
        ).all(axis=1)
        pixels, known = pixels[in_view], known[in_view]
        near = _near(pixels, ideal_px, limit_px)  # (M, N)
        similar = similarities(view.keypoints, keypoints)[known]  # (M, N)
        met = near.any(axis=1)
        best_there = np.where(near, similar, -np.inf).max(axis=1, initial=-np.inf)
        asked += int(met.sum())
        right += int((best_there[met] >= similar[met].max(axis=1, initial=-np.inf)).sum())
    return right / asked if asked >= _FEWEST else 0.0


def _near(pixels: Array, others: Array, limit_px: float) -> np.ndarray:
    """(M, N): whether two pixels are within a limit; one that is NaN is near to nothing."""
    squares = np.square(pixels[:, None] - others[None]).sum(axis=2)
    return np.asarray(squares <= limit_px**2)

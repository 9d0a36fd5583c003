"""The geometry of two images without 3-D points: whether they show one place, and from where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import poselib
from numpy.typing import NDArray

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.verification.cameras import pixel_unit
from cerfevpr_core.verification.support import (
    NO_SUPPORT,
    Support,
    coverage,
    kept_order,
    log_chance,
)

Array = NDArray[np.float64]

# Of the error of an inlier: no noise of 3-D points is in it, and a line is near to more than a
# point is.
_STRICT = 0.33
_FLAT = 0.9  # of the inliers that one homography explains: too many to trust the translation


@dataclass(frozen=True)
class TwoView:
    """`support` of the best model. `relative` is the query's camera in the keyframe's, its
    translation of unit length; None where it is undetermined, and `relative_fault` says why."""

    support: Support
    relative: Pose | None
    relative_fault: str | None


def two_view(
    query_px: Array,
    keyframe_px: Array,
    size_px: tuple[int, int],
    cameras: tuple[Camera, Camera] | None,
    config: VerificationConfig,
) -> TwoView:
    """Matched ideal pixels (P, 2) of a query of this size (height, width) and a keyframe.

    `cameras` are the query's and the keyframe's; without them the fundamental matrix decides. A
    homography decides where it explains as much: a plane, or a camera that only turned.
    """
    if len(query_px) < config.min_inliers:
        return TwoView(NO_SUPPORT, None, f'{len(query_px)} matches, fewer than needed')
    height, width = size_px
    limit = _STRICT * config.max_error_px * pixel_unit(width, height)
    ransac = {
        'max_epipolar_error': limit,
        'max_reproj_error': limit,
        'max_iterations': config.max_iterations,
        'min_iterations': min(100, config.max_iterations),
        'seed': config.seed,
    }
    moving, relative = _epipolar(query_px, keyframe_px, cameras, ransac)
    flat = _inliers(poselib.estimate_homography(keyframe_px, query_px, ransac, {})[1])
    area, diagonal = width * height, float(np.hypot(width, height))
    in_band, on_spot = 2 * limit * diagonal / area, np.pi * limit**2 / area
    pixels = query_px, keyframe_px
    minimal, solutions = (5, 10) if cameras else (7, 3)
    if flat.sum() >= _FLAT * moving.sum():
        fault = 'a plane or a mere rotation explains the matches: the translation is undetermined'
        return TwoView(_support(pixels, flat, size_px, on_spot, 4, 1), None, fault)
    support = _support(pixels, moving, size_px, in_band, minimal, solutions)
    return TwoView(support, relative, None if relative else 'no intrinsics of both cameras')


def _epipolar(
    query_px: Array, keyframe_px: Array, cameras: tuple[Camera, Camera] | None, ransac: dict
) -> tuple[NDArray[np.bool_], Pose | None]:
    if cameras is None:
        _, info = poselib.estimate_fundamental(keyframe_px, query_px, ransac, {})
        return _inliers(info), None
    pinholes = [_pinhole(camera) for camera in reversed(cameras)]
    found, info = poselib.estimate_relative_pose(keyframe_px, query_px, *pinholes, ransac, {})
    inliers = _inliers(info)
    length = float(np.linalg.norm(found.t))
    if not inliers.any() or not np.isfinite(found.Rt).all() or length < 1e-9:
        return inliers, None
    matrix = np.eye(4)  # poselib's takes points of the keyframe's camera to the query's
    matrix[:3, :3] = found.R.T
    matrix[:3, 3] = -found.R.T @ found.t / length
    return inliers, Pose.from_matrix(matrix)


def _pinhole(camera: Camera) -> dict[str, Any]:
    size = {'width': camera.width_px, 'height': camera.height_px}
    return {**size, 'model': 'PINHOLE', 'params': [camera.fx, camera.fy, camera.cx, camera.cy]}


def _inliers(info: dict[str, Any]) -> NDArray[np.bool_]:
    return np.asarray(info['inliers'], bool)


def _support(
    pixels: tuple[Array, Array],
    inliers: NDArray[np.bool_],
    size_px: tuple[int, int],
    share: float,
    minimal: int,
    solutions: int,
) -> Support:
    height, width = size_px
    query_px, keyframe_px = (each[inliers] for each in pixels)
    number, matches = int(inliers.sum()), len(inliers)
    chance = log_chance(number, matches, share, minimal, solutions)
    covered, order = coverage(query_px, width, height), kept_order(query_px, keyframe_px)
    return Support(number, number / matches, covered, chance, order)

"""3-D points of keypoints from a depth image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.geometry import Camera
from cerfevpr_core.verification.cameras import undistort
from cerfevpr_core.verification.keypoints import Keypoints


def with_depth(
    keypoints: Keypoints,
    depth_m: NDArray[np.float32],
    camera: Camera,
    max_step: float | None = None,
) -> Keypoints:
    """The keypoints with points in the camera's frame, from depth (H, W) along its axis.

    The depth image shows what the camera's image shows, in any resolution. A point is unknown
    where there is no depth (0, NaN, infinite) and at an edge: one over depth is linear on any
    plane, so where it bends by more than the share `max_step` there is no single surface.
    """
    bend = VerificationConfig().max_depth_step if max_step is None else max_step
    inverse = np.where(np.isfinite(depth_m) & (depth_m > 0), 1 / np.maximum(depth_m, 1e-9), np.nan)
    height, width = depth_m.shape
    scale = np.array([width / camera.width_px, height / camera.height_px])
    at = (keypoints.positions_px.astype(np.float64) + 0.5) * scale - 0.5
    z = 1 / _on_one_surface(inverse, at, bend)  # (N,)
    ideal = undistort(camera, keypoints.positions_px)
    rays = (ideal - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    points = np.concatenate([rays, np.ones((len(rays), 1))], axis=1) * z[:, None]
    points[~np.isfinite(points).all(axis=1)] = np.nan
    return replace(keypoints, points_m=points.astype(np.float32))


def _on_one_surface(
    inverse: NDArray[np.float64], at: NDArray[np.float64], bend: float
) -> NDArray[np.float64]:
    """Inverse depth at positions (N, 2), by the slopes about the nearest pixel; else NaN."""
    height, width = inverse.shape
    nearest = np.rint(at).astype(np.int64)
    if min(width, height) < 3:
        return np.full(len(at), np.nan)
    within = np.logical_and(nearest >= 1, nearest < [width - 1, height - 1])
    inside = np.asarray(within.all(axis=1))
    x, y = np.where(inside[:, None], nearest, 1).T
    middle = inverse[y, x]
    left, right = inverse[y, x - 1], inverse[y, x + 1]
    up, down = inverse[y - 1, x], inverse[y + 1, x]
    bends = np.maximum(np.abs(left + right - 2 * middle), np.abs(up + down - 2 * middle))
    steps = np.maximum(np.abs(right - left), np.abs(down - up)) / 2
    dx, dy = (at - nearest).T
    value = middle + dx * (right - left) / 2 + dy * (down - up) / 2
    smooth = (bends <= bend * middle) & (steps <= 3 * bend * middle)  # NaN compares as false
    return np.where(inside & smooth & (value > 0), value, np.nan)

"""Depth as another camera sees it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.geometry import Camera


def depth_seen_by(
    camera: Camera,
    depth_m: NDArray[np.float32],
    depth_camera: Camera,
    to_camera: NDArray[np.floating],
) -> NDArray[np.float32]:
    """Depth (H, W) of one camera in the pixels of another; NaN where nothing falls.

    `to_camera` (4, 4) takes points of the depth camera to the other. Neither has distortion.
    """
    v, u = np.nonzero(np.isfinite(depth_m) & (depth_m > 0))
    z = depth_m[v, u].astype(np.float64)
    x, y = (u - depth_camera.cx) / depth_camera.fx, (v - depth_camera.cy) / depth_camera.fy
    points = np.stack([x * z, y * z, z], axis=1) @ to_camera[:3, :3].T + to_camera[:3, 3]
    points = points[points[:, 2] > 0]
    points = points[np.argsort(-points[:, 2], kind='stable')]  # the nearest is written last
    column = np.rint(points[:, 0] / points[:, 2] * camera.fx + camera.cx).astype(np.int64)
    row = np.rint(points[:, 1] / points[:, 2] * camera.fy + camera.cy).astype(np.int64)
    inside = (column >= 0) & (column < camera.width_px) & (row >= 0) & (row < camera.height_px)
    seen = np.full((camera.height_px, camera.width_px), np.nan, np.float32)
    seen[row[inside], column[inside]] = points[inside, 2]
    return seen

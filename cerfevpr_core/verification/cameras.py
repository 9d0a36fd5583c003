"""Pixels of a real camera -> those of an ideal pinhole with the same intrinsics."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.geometry import Camera

_REFERENCE_PX = 640  # settings in pixels hold for an image whose longest side is this
_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-8)
_TOLERANCE_PX = 0.5  # of a pixel undistorted and distorted again


def pixel_unit(width_px: int, height_px: int) -> float:
    """Pixels of such an image that one pixel of the settings stands for."""
    return max(width_px, height_px) / _REFERENCE_PX


def undistort(camera: Camera, positions_px: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, 2) as the camera sees them -> as a pinhole would; NaN where its model has no inverse."""
    seen = positions_px.astype(np.float64)
    if not any(camera.distortion) or not len(seen):
        return seen
    k, distortion = camera.matrix(), np.array(camera.distortion, np.float64)
    ideal: NDArray[np.float64] = np.asarray(
        cv2.undistortPoints(seen[:, None], k, distortion, P=k, criteria=_CRITERIA)[:, 0]
    )
    rays = np.concatenate([(ideal - k[:2, 2]) / k[[0, 1], [0, 1]], np.ones((len(ideal), 1))], 1)
    again = cv2.projectPoints(rays[:, None], np.zeros(3), np.zeros(3), k, distortion)[0][:, 0]
    ideal[np.linalg.norm(again - seen, axis=1) > _TOLERANCE_PX] = np.nan
    return ideal


def fault(camera: Camera, width_px: int, height_px: int) -> str | None:
    """In words, what is wrong with a camera's numbers for an image of this size, if anything."""
    numbers = (camera.fx, camera.fy, camera.cx, camera.cy, *camera.distortion)
    if not np.isfinite(numbers).all() or camera.fx <= 0 or camera.fy <= 0:
        return f'the intrinsics fx {camera.fx:g}, fy {camera.fy:g} are not those of a camera'
    if (camera.width_px, camera.height_px) != (width_px, height_px):
        return (
            f'the intrinsics are for {camera.width_px} x {camera.height_px} pixels, '
            f'the image has {width_px} x {height_px}'
        )
    return None

"""Whether the inliers of a pose ask for another focal length: then the intrinsics are wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cerfevpr_core.geometry import Camera
from cerfevpr_core.verification.refine import (
    Array,
    Observations,
    inverted,
    linearized,
    moved,
    project,
)

_STEPS = 30
_LARGEST_STEP = 0.1  # of the focal length's logarithm; the pose follows from step to step
_WRONG, _SURE = 0.2, 4.0  # share of the focal length, and deviations of its estimate
_FARTHEST = 1.5  # the logarithm at which the search ends: 4.5 times as long


def focal_fault(camera: Camera, pose: Array, observations: Observations) -> str | None:
    """In words, that another focal length fits clearly better; None where none does.

    A pose is found with wrong intrinsics too, from the few points that happen to fit: these, too,
    fit best with the right ones. Where the scene does not tell, as a plane seen from the front,
    nothing is wrong.
    """
    total = 0.0
    for _ in range(_STEPS):
        current = scaled(camera, total)
        found = _step(current, pose, observations)
        if found is None:
            return None
        step, std = found
        change = step * min(1.0, _LARGEST_STEP / max(abs(step[6]), 1e-12))
        pose, total = moved(pose, change[:6]), total + float(change[6])
        if abs(total) > _FARTHEST or abs(change[6]) < 1e-5:
            break
    if abs(total) < np.log1p(_WRONG) or abs(total) < _SURE * std:
        return None
    return (
        f'the intrinsics look wrong: a focal length of {camera.fx * np.exp(total):.0f} px fits, '
        f'not {camera.fx:.0f}'
    )


def scaled(camera: Camera, logarithm: float) -> Camera:
    """The camera with another focal length."""
    factor = float(np.exp(logarithm))
    return replace(camera, fx=camera.fx * factor, fy=camera.fy * factor)


def _step(camera: Camera, pose: Array, observations: Observations) -> tuple[Array, float] | None:
    """A Gauss-Newton step (7,) of pose and log focal length, and the deviation of the latter."""
    residuals, jacobians, whiten = linearized(camera, pose, observations)
    pixels, _ = project(camera, pose, observations.points_m)
    by_focal = whiten @ (pixels - [camera.cx, camera.cy])[:, :, None]  # (N, 2, 1)
    rows = np.concatenate([jacobians, by_focal], axis=2).reshape(-1, 7)
    inverse = inverted(rows.T @ rows)
    if inverse is None:
        return None
    variance = float(np.square(residuals).sum()) / max(len(rows) - 7, 1)
    return inverse @ (rows.T @ residuals.ravel()), float(np.sqrt(variance * inverse[6, 6]))

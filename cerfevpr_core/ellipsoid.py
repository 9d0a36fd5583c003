"""The ellipsoid of a covariance: how a viewer shows where a position may be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.geometry import Pose

CONFIDENT_95 = 2.795  # the radius within which a 3-D normal deviate lies 95 times in 100
_LEAST_M = 0.01  # a thinner one would not be seen


@dataclass(frozen=True)
class Ellipsoid:
    """`pose` is its centre and axes in the map; `diameters_m` are along x, y, z of these axes."""

    pose: Pose
    diameters_m: tuple[float, float, float]


def confidence_ellipsoid(
    position_m: tuple[float, float, float],
    covariance: NDArray[np.float64],
    deviations: float = CONFIDENT_95,
) -> Ellipsoid:
    """Of a position with covariance (3, 3) in m², as wide as so many standard deviations."""
    variances, axes = np.linalg.eigh((covariance + covariance.T) / 2)
    if np.linalg.det(axes) < 0:  # eigenvectors have no sign; a rotation has
        axes[:, 0] *= -1
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axes, position_m
    diameters = 2 * deviations * np.sqrt(variances.clip(min=0))
    x, y, z = (float(d) for d in diameters.clip(min=_LEAST_M))
    return Ellipsoid(Pose.from_matrix(matrix), (x, y, z))

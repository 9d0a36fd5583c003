"""The pose that observations of known points make most likely, and its covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.geometry import Camera

Array = NDArray[np.float64]

TAIL = 5.0  # degrees of freedom of Student's t: matches err more often by much than a normal does
_STEPS, _SCALE_STEPS = 20, 3
_TINY = 1e-9


@dataclass(frozen=True)
class Observations:
    """N ideal pixels `seen_px` (N, 2) of points `points_m` (N, 3) in the map.

    `point_covariances` (N, 3, 3) are the points' own, in the map's axes; `pixel_std` the pixels'.
    """

    seen_px: Array
    points_m: Array
    point_covariances: Array
    pixel_std: float

    def __len__(self) -> int:
        return len(self.seen_px)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Observations:
        """Some of them."""
        return Observations(
            self.seen_px[rows], self.points_m[rows], self.point_covariances[rows], self.pixel_std
        )


def project(camera: Camera, pose: Array, points_m: Array) -> tuple[Array, Array]:
    """Points (N, 3) of the map in a camera at `pose` (4, 4): pixels (N, 2), depths (N,)."""
    local = (points_m - pose[:3, 3]) @ pose[:3, :3]
    depth = local[:, 2]
    safe = np.where(np.abs(depth) > _TINY, depth, _TINY)
    return local[:, :2] / safe[:, None] * [camera.fx, camera.fy] + [camera.cx, camera.cy], depth


@dataclass(frozen=True)
class Fit:
    """The most likely `pose` (4, 4) of observations, and the parts its covariance is made of.

    `residuals` (N, 2) and their derivatives by a motion, `jacobians` (N, 2, 6), are in deviations
    of the observations; `trust` (N,) weighs each, `scale` is the variance the residuals have.
    """

    pose: Array
    residuals: Array
    jacobians: Array
    trust: Array
    scale: float

    def variance(self) -> float:
        """By which the inverse of J^T J is the pose's covariance, if observations are independent.

        That of an M-estimator, E[psi^2] / E[psi']^2 of the residuals as they are: it holds
        whether these are normal or have the tails that `trust` allows for.
        """
        squares = np.square(self.residuals).sum(axis=1)  # (N,)
        spread = float((np.square(self.trust) * squares).mean() / 2)
        bent = np.square(self.trust) * squares / (self.scale * (TAIL + 2))
        slope = max(float((self.trust - bent).mean()), 0.1)
        free = len(squares) / max(len(squares) - 3, 1)  # six of 2 N numbers are fitted
        return free * spread / slope**2

    def gradients(self) -> Array:
        """What each observation pulls the pose by, (N, 6); they sum to nothing."""
        return np.einsum('n,nia,ni->na', self.trust / self.scale, self.jacobians, self.residuals)

    def informations(self) -> Array:
        """What each observation tells of the pose: (N, 6, 6)."""
        weighted = self.jacobians * (self.trust / self.scale)[:, None, None]
        return self.jacobians.transpose(0, 2, 1) @ weighted


def refine(camera: Camera, start: Array, observations: Observations) -> Fit | None:
    """The most likely pose under Student's t, from a start near it; None where undetermined."""
    pose, scale, size = start.copy(), 1.0, len(observations)
    for _ in range(_STEPS):
        residuals, jacobians, _ = linearized(camera, pose, observations)
        squares = np.square(residuals).sum(axis=1)  # (N,)
        for _ in range(_SCALE_STEPS):
            trust = (TAIL + 2) / (TAIL + squares / scale)  # (N,), of t in two dimensions
            # Six numbers are fitted to 2 N: residuals are smaller than errors by that much.
            scale = max(float((trust * squares).sum()) / max(2 * size - 6, 1), _TINY)
        rows = jacobians.reshape(-1, 6)
        weighted = rows * np.repeat(trust, 2)[:, None]
        inverse = inverted(rows.T @ weighted)
        if inverse is None:
            return None
        step = inverse @ (weighted.T @ residuals.ravel())
        pose = moved(pose, step)
        if np.abs(step).max() < 1e-7:
            break
    return Fit(pose, residuals, jacobians, trust, scale)


def moved(pose: Array, step: Array) -> Array:
    """A pose after a small motion: metres along, then radians about the map's axes."""
    out = pose.copy()
    out[:3, 3] += step[:3]
    out[:3, :3] = rotation(step[3:]) @ pose[:3, :3]
    return out


def motion_between(pose: Array, other: Array) -> Array:
    """The motion (6,) that takes a pose to another, as `moved` does."""
    turn = rotation_vector(other[:3, :3] @ pose[:3, :3].T)
    return np.concatenate([other[:3, 3] - pose[:3, 3], turn])


def rotation(axis_angle: Array) -> Array:
    """The rotation matrix about an axis by its length in radians (Rodrigues)."""
    angle = float(np.linalg.norm(axis_angle))
    if angle < 1e-12:
        return np.eye(3) + cross_matrix(axis_angle)
    k = cross_matrix(axis_angle / angle)
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)


def rotation_vector(matrix: Array) -> Array:
    """Axis times angle of a rotation matrix."""
    skew = np.array(
        [matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]
    )
    sine, cosine = np.linalg.norm(skew) / 2, (np.trace(matrix) - 1) / 2
    angle = np.arctan2(sine, cosine)
    return skew * (0.5 if sine < 1e-9 else angle / (2 * sine))


def cross_matrix(v: Array) -> Array:
    """(..., 3) -> (..., 3, 3), which takes w to v x w."""
    zero = np.zeros_like(v[..., 0])
    rows = [zero, -v[..., 2], v[..., 1], v[..., 2], zero, -v[..., 0], -v[..., 1], v[..., 0], zero]
    return np.stack(rows, axis=-1).reshape(*v.shape, 3)


def projection_jacobian(camera: Camera, local: Array) -> Array:
    """Of pixels by points (N, 3) in the camera's frame: (N, 2, 3)."""
    x, y, z = local.T
    z = np.where(np.abs(z) > _TINY, z, _TINY)
    zero = np.zeros_like(z)
    rows = [camera.fx / z, zero, -camera.fx * x / z**2]
    rows += [zero, camera.fy / z, -camera.fy * y / z**2]
    return np.stack(rows, axis=1).reshape(-1, 2, 3)


def linearized(camera: Camera, pose: Array, seen: Observations) -> tuple[Array, Array, Array]:
    """Residuals (N, 2), their derivatives by a motion (N, 2, 6), both in their own deviations.

    And the (N, 2, 2) by which pixels become these.
    """
    pixels, _ = project(camera, pose, seen.points_m)
    offsets = seen.points_m - pose[:3, 3]
    by_point = projection_jacobian(camera, offsets @ pose[:3, :3]) @ pose[:3, :3].T  # (N, 2, 3)
    by_motion = np.concatenate([-by_point, by_point @ cross_matrix(offsets)], axis=2)
    spread = by_point @ seen.point_covariances @ by_point.transpose(0, 2, 1)
    spread = spread + seen.pixel_std**2 * np.eye(2)
    whiten = np.linalg.inv(np.linalg.cholesky(spread))  # (N, 2, 2)
    residuals = (whiten @ (seen.seen_px - pixels)[:, :, None])[:, :, 0]
    return residuals, whiten @ by_motion, whiten


def inverted(information: Array) -> Array | None:
    """The inverse of a symmetric matrix whose rows differ in units; None where it has none."""
    diagonal = np.diag(information)
    if not np.isfinite(information).all() or (diagonal <= 0).any():
        return None
    units = 1 / np.sqrt(diagonal)
    values, vectors = np.linalg.eigh(information * units[:, None] * units)
    if values[0] < 1e-10 * values[-1]:
        return None
    return units[:, None] * ((vectors / values) @ vectors.T) * units

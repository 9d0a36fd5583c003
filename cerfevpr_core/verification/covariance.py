"""How uncertain a fitted pose is."""

from __future__ import annotations

import numpy as np

from cerfevpr_core.verification.refine import Array, Fit, inverted

_REACH = 0.2  # of the image's longer side: so far apart, errors share less than a third
_CHANCE = 3.7  # squared deviations by which leaving out a part moves a pose by chance
_LEAST = 0.01  # of the stated variance, where matches fit better than any camera is calibrated


def pose_covariance(
    fit: Fit, seen_px: Array, longest_px: int, shared_error: float
) -> Array | None:
    """(6, 6) of (x, y, z, rotation about the map's x, y, z axes); None where undetermined.

    The inverse of the Hessian at the solution, with the residuals' own variance. Errors of matches
    that lie near each other are alike, most where the appearance changed and residuals grew with
    it: the part `shared_error` of their variance, times the growth, falls off with their
    distance.
    """
    rows = fit.jacobians.reshape(-1, 6)
    inverse = inverted(rows.T @ rows)
    if inverse is None:
        return None
    variance = max(fit.variance(), _LEAST)
    alike = inverse @ _shared(fit, seen_px, longest_px) @ inverse
    return variance * inverse + variance**2 * shared_error * alike


def reaching(covariance: Array, motions: Array) -> Array:
    """A covariance (6, 6) that has grown until it explains motions (S, 6), the furthest first.

    They take the pose to where it would be without parts of what is seen.
    """
    for _ in motions:
        squares = np.einsum('si,ij,sj->s', motions, np.linalg.inv(covariance), motions)
        furthest = int(squares.argmax())
        if squares[furthest] <= _CHANCE:
            break
        excess = 1 / _CHANCE - 1 / squares[furthest]  # after which its square is _CHANCE
        covariance = covariance + excess * np.outer(motions[furthest], motions[furthest])
    return covariance


def _shared(fit: Fit, seen_px: Array, longest_px: int) -> Array:
    """Information (6, 6) that pairs of matches have in common, by their distance."""
    squares = np.square(seen_px).sum(axis=1)
    apart = squares[:, None] + squares - 2 * seen_px @ seen_px.T
    alike = np.exp(-np.sqrt(np.maximum(apart, 0)) / (_REACH * longest_px))
    np.fill_diagonal(alike, 0)
    return sum((j.T @ alike @ j for j in fit.jacobians.transpose(1, 0, 2)), np.zeros((6, 6)))

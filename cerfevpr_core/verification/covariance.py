"""How uncertain a fitted pose is."""

from __future__ import annotations

import numpy as np

from cerfevpr_core.verification.parts import jackknife
from cerfevpr_core.verification.refine import Array, Fit, inverted

_REACH = 0.2  # of the image's longer side: so far apart, errors share less than a third
_CHANCE = 3.0  # times its variance that a jackknife shows by chance
_LEAST = 0.01  # of the stated variance, where matches fit better than any camera is calibrated


def pose_covariance(
    fit: Fit, seen_px: Array, size_px: tuple[int, int], shared_error: float
) -> Array | None:
    """(6, 6) of (x, y, z, rotation about the map's x, y, z axes); None where undetermined.

    The inverse of the Hessian at the solution, with the residuals' own variance. Errors of matches
    that lie near each other are alike, most where the appearance changed and residuals grew with
    it: the part `shared_error` of their variance, times the growth, falls off with their
    distance. Where leaving out parts of the image moves the pose by more than that explains, the
    excess is added.
    """
    rows = fit.jacobians.reshape(-1, 6)
    inverse = inverted(rows.T @ rows)
    if inverse is None:
        return None
    variance = max(fit.variance(), _LEAST)
    own = variance * inverse
    if not shared_error:
        return own
    alike = inverse @ _shared(fit, seen_px, max(size_px)) @ inverse
    covariance = own + variance**2 * shared_error * alike
    return covariance + _excess(covariance, jackknife(fit, seen_px, size_px))


def _shared(fit: Fit, seen_px: Array, longest_px: int) -> Array:
    """Information (6, 6) that pairs of matches have in common, by their distance."""
    squares = np.square(seen_px).sum(axis=1)
    apart = squares[:, None] + squares - 2 * seen_px @ seen_px.T
    alike = np.exp(-np.sqrt(np.maximum(apart, 0)) / (_REACH * longest_px))
    np.fill_diagonal(alike, 0)
    return sum((j.T @ alike @ j for j in fit.jacobians.transpose(1, 0, 2)), np.zeros((6, 6)))


def _excess(covariance: Array, jackknifed: Array) -> Array:
    """What a jackknife shows beyond a covariance and chance, along its own axes."""
    root = np.linalg.cholesky(covariance)
    inverse = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(inverse @ jackknifed @ inverse.T)
    axes = root @ vectors
    return (axes * np.maximum(values - _CHANCE, 0)) @ axes.T

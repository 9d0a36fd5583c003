"""Whether all parts of the image tell the same pose: what if one of them were left out?

Something that moved since the map was made, as a parked car, pulls a pose without looking wrong:
its matches agree with each other, and near ones weigh much. Without it the pose is another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.verification.refine import Array, Fit

_WINDOWS = (1 / 4, 1 / 3)  # sides of the parts, of the image's; neighbours overlap by half
_FEWEST, _LARGEST = 3, 0.6  # matches of a part; share of all that it may hold
_WEAK = 1e-4  # information that is added so that the rest always tells some pose


@dataclass(frozen=True)
class Part:
    """`rows` (N,) are the part's; `motion` (6,) takes the pose to the one that the rest tells.

    `disagreement` is chi-squared with up to six degrees of freedom if part and rest agree.
    """

    rows: NDArray[np.bool_]
    motion: Array
    disagreement: float


def most_different(fit: Fit, seen_px: Array, size_px: tuple[int, int]) -> Part | None:
    """The part that disagrees most with the rest, of an image of this size (height, width)."""
    parts = [p for side in _WINDOWS for p in _parts(fit, seen_px, size_px, side, side / 2)]
    return max(parts, key=lambda part: part.disagreement, default=None)


def windows_that_pull(
    fit: Fit, seen_px: Array, size_px: tuple[int, int], number: int
) -> list[NDArray[np.bool_]]:
    """Rows (N,) of the windows of the image that move the pose most when they are left out."""
    information = fit.informations().sum(axis=0)
    parts = [p for side in _WINDOWS for p in _parts(fit, seen_px, size_px, side, side / 2)]
    parts.sort(key=lambda part: -float(part.motion @ information @ part.motion))
    return [part.rows for part in parts[:number]]


def _parts(
    fit: Fit, seen_px: Array, size_px: tuple[int, int], side: float, stride: float
) -> Iterator[Part]:
    each, gradients = fit.informations(), fit.gradients()
    units = 1 / np.sqrt(np.maximum(np.diag(each.sum(axis=0)), 1e-12))  # metres and radians alike
    each, gradients = each * units[:, None] * units, gradients * units
    whole = each.sum(axis=0) + _WEAK * np.eye(6)
    for rows in _windows(seen_px, size_px, side, stride):
        if not _FEWEST <= rows.sum() <= _LARGEST * len(rows):
            continue
        own = each[rows].sum(axis=0)
        rest = np.linalg.inv(whole - own)
        pull = gradients[rows].sum(axis=0)
        motion = -rest @ pull
        yield Part(rows, motion * units, _disagreement(own, rest, pull - own @ motion))


def _disagreement(own: Array, rest: Array, pull: Array) -> float:
    """Chi-squared of a part's pull (6,) at the pose of the rest, whose covariance is `rest`."""
    values, vectors = np.linalg.eigh(own + own @ rest @ own)
    told = values > 1e-6 * values[-1]  # a few matches tell less than six numbers
    return float((np.square(vectors.T @ pull)[told] / values[told]).sum())


def _windows(
    seen_px: Array, size_px: tuple[int, int], side: float, stride: float
) -> Iterator[NDArray[np.bool_]]:
    x, y = (seen_px / [size_px[1], size_px[0]]).T
    starts = np.arange(0, 1 - side + 1e-9, stride)
    columns = [(x >= start) & (x < start + side) for start in starts]
    lines = [(y >= start) & (y < start + side) for start in starts]
    yield from (column & line for column in columns for line in lines)

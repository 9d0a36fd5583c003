"""Whether probabilities come true: expected calibration error and the reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

NUM_BINS = 15


@dataclass(frozen=True)
class Bin:
    """Answers of about the same probability: how many, their mean, and the share that is right."""

    number: int
    probability: float
    right: float


def reliability(probabilities: ArrayLike, right: ArrayLike, num_bins: int = NUM_BINS) -> list[Bin]:
    """Bins of equal count, by probability ascending; (N,) and (N,) in.

    Equal probabilities are never parted by the order in which they came: ties share their right.
    """
    likely, true = np.asarray(probabilities, float), np.asarray(right, float)
    assert likely.shape == true.shape and likely.ndim == 1
    values, group = np.unique(likely, return_inverse=True)
    true = (np.bincount(group, true) / np.bincount(group))[group] if len(values) else true
    order = np.argsort(likely, kind='stable')
    parts = np.array_split(order, min(num_bins, max(len(order), 1)))
    return [Bin(len(p), float(likely[p].mean()), float(true[p].mean())) for p in parts if len(p)]


def error_of(bins: Sequence[Bin]) -> float:
    """Mean distance of what was said from what came true, each answer counting once."""
    number = sum(each.number for each in bins)
    return sum(b.number * abs(b.probability - b.right) for b in bins) / max(number, 1)


def calibration_error(
    probabilities: ArrayLike, right: ArrayLike, num_bins: int = NUM_BINS
) -> float:
    """Expected calibration error of probabilities (N,) by bins of equal count."""
    return error_of(reliability(probabilities, right, num_bins))

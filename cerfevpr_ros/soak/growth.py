"""How fast something grows, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

_HOUR_S = 3600.0
_MIN_CYCLES = 4  # a line through fewer says nothing of its own error


@dataclass(frozen=True)
class Growth:
    """Of a straight line through the means of whole cycles; `per_hour` +- `error` covers 95 %."""

    per_hour: float
    error: float
    num_cycles: int  # that the line goes through
    first: float  # mean of the first cycle after the warm-up
    last: float

    def verdict(self, bound_per_hour: float) -> Literal['flat', 'grows', 'undecided']:
        """`grows` and `flat` are said only where the whole interval is on one side."""
        if self.per_hour - self.error > bound_per_hour:
            return 'grows'
        return 'flat' if self.per_hour + self.error <= bound_per_hour else 'undecided'


def growth(
    at_s: Sequence[float],
    values: Sequence[float],
    cycles_s: Sequence[tuple[float, float]],
    warm_up_s: float,
) -> Growth | None:
    """Fit samples (S,) taken at `at_s` (S,); a cycle is (begin, end). None: too few cycles.

    A cycle does the same as every other one, so its mean is one independent value, where single
    samples follow what is done at the moment. Cycles that begin before `warm_up_s` are left out.
    """
    at, value = np.asarray(at_s), np.asarray(values, np.float64)
    inside = [(at >= b) & (at < e) for b, e in cycles_s if b >= warm_up_s]
    inside = [chosen for chosen in inside if chosen.any()]
    if len(inside) < _MIN_CYCLES:
        return None
    hours = np.array([at[chosen].mean() for chosen in inside]) / _HOUR_S
    means = np.array([value[chosen].mean() for chosen in inside])
    slope, error = _line(hours, means)
    return Growth(slope, error, len(inside), float(means[0]), float(means[-1]))


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope of least squares, and half of its 95 % interval (Student's t)."""
    around, num_free = x - x.mean(), len(x) - 2
    spread = float(around @ around)
    slope = float(around @ y) / spread
    left_over = y - y.mean() - slope * around
    error = np.sqrt(float(left_over @ left_over) / num_free / spread)
    return slope, float(error * t.ppf(0.975, num_free))

"""Whether enough matches agree, over enough of the image, and more than chance would give."""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from cerfevpr_core.config import VerificationConfig

_CELLS = 8  # along each side of the grid that coverage counts


@dataclass(frozen=True)
class Support:
    """What agrees with a model: inliers among matches, and where in the query they lie.

    `log_chance` is log10 of how often a model with as many inliers is expected among random
    matches (the number of false alarms of a-contrario tests). `order` is that of `kept_order`,
    where it was asked for.
    """

    num_inliers: int
    inlier_ratio: float
    coverage: float
    log_chance: float
    order: float = 1.0

    def fault(self, config: VerificationConfig) -> str | None:
        """In words, which bar it misses; None if none."""
        if self.num_inliers < config.min_inliers:
            return f'{self.num_inliers} inliers, fewer than {config.min_inliers}'
        if self.inlier_ratio < config.min_inlier_ratio:
            return f'inlier ratio {self.inlier_ratio:.2f}, below {config.min_inlier_ratio:g}'
        if self.coverage < config.min_coverage:
            return f'inliers cover {self.coverage:.2f} of the image, below {config.min_coverage:g}'
        if self.order < config.min_order:
            return (
                f'the order of inliers agrees by {self.order:.2f}, below {config.min_order:g}: '
                'what is left or above in one image is not in the other'
            )
        if self.log_chance > config.max_log_chance:
            return (
                f'{self.num_inliers} inliers may be chance: as many are expected '
                f'{10**self.log_chance:.1g} times, above 1e{config.max_log_chance:g}'
            )
        return None


NO_SUPPORT = Support(0, 0.0, 0.0, 0.0)


def coverage(positions_px: NDArray, width_px: int, height_px: int) -> float:
    """The share of an 8 x 8 grid's cells that hold at least one of the positions (N, 2)."""
    cells = (positions_px * _CELLS / [width_px, height_px]).astype(np.int64)
    cells = np.clip(cells, 0, _CELLS - 1)
    return len(np.unique(cells[:, 1] * _CELLS + cells[:, 0])) / _CELLS**2


def kept_order(query_px: NDArray, keyframe_px: NDArray) -> float:
    """The lesser rank correlation of x and of y (N, 2): 1 where one order holds in both images.

    A fundamental matrix binds each match to a line only, along which false ones lie anyhow; of
    true ones, seen by an upright camera from nearby, left stays left and above stays above.
    """
    if len(query_px) < 3:
        return 0.0
    ranks = [rankdata(positions, axis=0) for positions in (query_px, keyframe_px)]
    ranks = [each - each.mean(axis=0) for each in ranks]
    lengths = [np.maximum(np.linalg.norm(each, axis=0), 1e-12) for each in ranks]
    return float(((ranks[0] * ranks[1]).sum(axis=0) / (lengths[0] * lengths[1])).min())


def log_chance(
    num_inliers: int, num_matches: int, share: float, minimal: int, solutions: int = 1
) -> float:
    """log10 of the number of false alarms (Moisan and Stival 2004).

    `share` is the chance that a random match agrees with a model, which `minimal` matches make in
    up to `solutions` ways.
    """
    if num_inliers <= minimal:
        return 0.0
    share = min(max(share, 1e-12), 1.0)
    tests = log(num_matches - minimal) + log(solutions)
    tests += _log_choose(num_matches, num_inliers) + _log_choose(num_inliers, minimal)
    return min(0.0, (tests + (num_inliers - minimal) * log(share)) / log(10))


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)

"""How similar two images are by their landmarks, eqs 3 to 5; all candidates in one operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from cerfevpr_core.landmarks.landmarks import Landmarks

_AT_ONCE = 64  # candidates: what they need stays within some megabytes
_LEAST = 2  # matches that agree on a shift: one alone agrees with anything


@dataclass(frozen=True)
class LandmarkMatches:
    """The mutually nearest landmarks of a query and one candidate.

    `similarity` is eq. 5. `query` and `candidate` (P,) index the two images' landmarks;
    `similarities` (P,) are those of eq. 3, `weights` (P,) those of eq. 4. `shift` is (dx, dy) in
    cells, query less candidate. None where the differences have no peak, as in opposite
    directions of view: the weights are then 1 / P, so that all matches together count as one.
    Weighed 1 each, chance matches would outweigh true ones that agree on a shift.
    """

    similarity: float
    query: NDArray[np.int64]
    candidate: NDArray[np.int64]
    similarities: NDArray[np.float32]
    weights: NDArray[np.float32]
    shift: tuple[int, int] | None


def match_landmarks(query: Landmarks, candidates: Sequence[Landmarks]) -> list[LandmarkMatches]:
    """Match a query's landmarks with those of each candidate, which may be any number."""
    found: list[LandmarkMatches] = []
    for first in range(0, len(candidates), _AT_ONCE):
        found += _match(query, candidates[first : first + _AT_ONCE])
    return found


def _match(query: Landmarks, candidates: Sequence[Landmarks]) -> list[LandmarkMatches]:
    similar = _similarities(query, candidates)  # (K, Lq, L)
    if not similar.size:
        none = np.zeros(0, np.int64)
        empty = LandmarkMatches(0.0, none, none, _NOTHING, _NOTHING, None)
        return [empty] * len(candidates)
    nearest = similar.argmax(axis=2)  # (K, Lq): the candidate's landmark for each of the query's
    back = similar.argmax(axis=1)  # (K, L): the query's for each of the candidate's
    mutual = np.take_along_axis(back, nearest, axis=1) == np.arange(len(query))
    for row, candidate in zip(mutual, candidates, strict=True):
        row &= len(candidate) > 0
    k, i = np.nonzero(mutual)  # (P,) each
    j = nearest[k, i]
    values = similar[k, i, j]
    differences = _cells(query)[i] - _padded([_cells(c) for c in candidates])[k, j]  # (P, 2)
    shifts, is_peak = _most_frequent(differences, k, len(candidates))
    off = np.where(is_peak[k, None], differences - shifts[k], 0)
    weights = np.exp(-0.5 * np.square(off).sum(axis=1)).astype(np.float32)  # eq. 4
    counts = np.bincount(k, minlength=len(candidates))
    weights = np.where(is_peak[k], weights, np.float32(1) / counts[k]).astype(np.float32)
    totals = np.bincount(k, weights * values, minlength=len(candidates))  # eq. 5
    ends = np.searchsorted(k, np.arange(len(candidates) + 1))
    return [
        LandmarkMatches(
            float(totals[n]),
            i[start:end],
            j[start:end],
            values[start:end],
            weights[start:end],
            (int(shifts[n, 0]), int(shifts[n, 1])) if is_peak[n] else None,
        )
        for n, (start, end) in enumerate(pairwise(ends))
    ]


_NOTHING = np.zeros(0, np.float32)


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api='blas')


def _similarities(query: Landmarks, candidates: Sequence[Landmarks]) -> NDArray[np.float32]:
    """Eq. 3 of all pairs: (K, Lq, L); -1, the least, where a candidate has fewer than L."""
    features = _padded([c.features for c in candidates])  # (K, L, D)
    count, most, dim = features.shape
    if not (most and len(query)):
        return np.zeros((count, len(query), 0), np.float32)
    # A fraction of a millisecond: on a busy robot threads would wait for one another far longer.
    with _blas().limit(limits=1):
        similar = features.reshape(-1, dim) @ query.features.T
    similar = similar.reshape(count, most, len(query))
    for row, candidate in zip(similar, candidates, strict=True):
        row[len(candidate) :] = -np.inf
    return np.ascontiguousarray(similar.transpose(0, 2, 1))


def _padded(parts: Sequence[NDArray]) -> NDArray:
    """Arrays (L, ...) of several lengths as one (K, L, ...), with zeros after the shorter."""
    out = np.zeros((len(parts), max(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
    for row, part in zip(out, parts, strict=True):
        row[: len(part)] = part
    return out


def _cells(landmarks: Landmarks) -> NDArray[np.int64]:
    """x and y in cells: (L, 2)."""
    return np.stack([landmarks.columns, landmarks.rows], axis=1).astype(np.int64)


def _most_frequent(
    differences: NDArray[np.int64], of: NDArray[np.int64], count: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The mode of the differences (P, 2) of each candidate: (K, 2), and whether it is a peak.

    The histogram's bins are one cell wide. Among equally frequent ones the smallest shift wins.
    """
    reach = int(np.abs(differences).max(initial=0))
    side = 2 * reach + 1
    x, y = differences.T + reach
    bins = np.bincount((of * side + y) * side + x, minlength=count * side * side)
    bins = bins.reshape(count, -1)
    steps = np.arange(-reach, reach + 1)
    near = np.argsort((steps[:, None] ** 2 + steps**2).ravel(), kind='stable')
    mode = near[bins[:, near].argmax(axis=1)]
    shifts = np.stack([mode % side, mode // side], axis=1) - reach
    return shifts, bins.max(axis=1) >= _LEAST

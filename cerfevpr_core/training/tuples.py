"""Tuples for the triplet ranking loss: a query, a positive, and the hardest negatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.data.places import Place

_LOOKED_AT = (
    20  # rows for each of the pool: several renditions of a place, and near ones, drop out
)


@dataclass(frozen=True)
class Neighbourhood:
    """Which places must not be negatives of each other, as their images may overlap."""

    frames: NDArray[np.int64]  # (places,): -1 without a position
    positions_m: NDArray[np.float64]  # (places, 2)
    apart_m: float

    @staticmethod
    def of(places: Sequence[Place], apart_m: float) -> Neighbourhood:
        """From where the places say they are."""
        names: dict[str, int] = {}
        frames = [names.setdefault(p.frame, len(names)) if p.position_m else -1 for p in places]
        positions = [p.position_m or (0.0, 0.0) for p in places]
        return Neighbourhood(np.array(frames), np.array(positions, np.float64), apart_m)

    def overlap(self, place: int, others: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each of the others (N,) is the place itself, or so near that it may show it."""
        frame = self.frames[place]
        distance = np.linalg.norm(self.positions_m[others] - self.positions_m[place], axis=1)
        near = (frame >= 0) & (self.frames[others] == frame) & (distance < self.apart_m)
        return near | (others == place)


def mine_tuples(
    embeddings: NDArray[np.float32],
    places: NDArray[np.int64],
    queries: NDArray[np.int64],
    num_negatives: int,
    pool: int,
    neighbourhood: Neighbourhood,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Rows of query, positive and K negatives: (Q, 2 + K); fewer rows than queries where needed.

    The negatives are drawn from a pool of the nearest by unit-length embeddings (N, D), one of a
    place. Queries whose place has no other row, or that have too few negatives, are left out.
    """
    members = _members(places)
    tuples = []
    for query in queries:
        place = int(places[query])
        positives = members[place][members[place] != query]
        similarity = embeddings @ embeddings[query]
        count = min(len(places), _LOOKED_AT * pool)
        nearest = np.argpartition(-similarity, count - 1)[:count]
        nearest = nearest[np.argsort(-similarity[nearest], kind='stable')]
        nearest = nearest[~neighbourhood.overlap(place, places[nearest])]
        _, first = np.unique(places[nearest], return_index=True)
        hardest = nearest[np.sort(first)][:pool]
        negatives = rng.permutation(hardest)[:num_negatives]
        if len(positives) and len(negatives) == num_negatives:
            tuples.append([query, rng.choice(positives), *negatives])
    return np.array(tuples, np.int64).reshape(-1, 2 + num_negatives)


def _members(places: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of each place."""
    order = np.argsort(places, kind='stable')
    ends = np.searchsorted(places[order], np.arange(places.max() + 2))
    return [order[start:end] for start, end in pairwise(ends)]

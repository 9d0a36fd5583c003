"""A vocabulary tree over binary descriptors: hierarchical k-majority, a whole level at once.

Hamming distance is the squared Euclidean distance of bit vectors, so that k-means has its usual
steps: seeds drawn in proportion to the distance (k-means++), and centres of majority bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .hamming import hamming

BRANCHING = 10
_PER_WORD = 16  # descriptors that a word is made of, about
_ROUNDS = 10  # of k-majority; by then few descriptors change their centre
_AT_ONCE = 50_000  # descriptors that are compared with their node's children


@dataclass(frozen=True)
class Level:
    """`centres` (n, bytes) of the nodes; those of parent p are `first[p]` to `first[p + 1]`."""

    centres: NDArray[np.uint8]
    first: NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """A tree of centres, from the children of the root to the words."""

    levels: tuple[Level, ...]
    branching: int

    @property
    def num_words(self) -> int:
        """Nodes of the last level."""
        return len(self.levels[-1].centres)

    def nodes(self, descriptors: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The node of each descriptor at each level, (N, depth); the last column is its word."""
        path = np.zeros((len(descriptors), len(self.levels) + 1), np.int64)  # from the root on
        for i, level in enumerate(self.levels):
            path[:, i + 1] = self._nearest(descriptors, level, path[:, i])
        return path[:, 1:]

    def _nearest(
        self, descriptors: NDArray[np.uint8], level: Level, parents: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The nearest child of each descriptor's node."""
        found = [np.zeros(0, np.int64)]
        for start in range(0, len(descriptors), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            first, end = level.first[parents[some]], level.first[parents[some] + 1]
            children = first[:, None] + np.arange(self.branching)  # (N, k)
            exists = children < end[:, None]
            centres = level.centres[np.where(exists, children, 0)]  # (N, k, bytes)
            distances = hamming(descriptors[some, None], centres)
            distances[~exists] = np.iinfo(np.uint16).max
            found.append(first + distances.argmin(axis=1))
        return np.concatenate(found)


def train_vocabulary(
    descriptors: NDArray[np.uint8],
    branching: int = BRANCHING,
    depth: int | None = None,
    seed: int = 0,
) -> Vocabulary:
    """A tree of descriptors (N, bytes); its depth follows from their number if none is given.

    The same descriptors and seed give the same tree. Without descriptors there is one word.
    """
    if not len(descriptors):
        descriptors = np.zeros((1, descriptors.shape[1]), np.uint8)
    depth = depth or max(1, round(math.log(max(1, len(descriptors) / _PER_WORD), branching)))
    rng = np.random.default_rng(seed)
    nodes = np.zeros(len(descriptors), np.int64)
    levels: list[Level] = []
    for _ in range(depth):
        order = np.argsort(nodes, kind='stable')  # a node's descriptors side by side
        descriptors, nodes = descriptors[order], nodes[order]
        level, nodes = _split(descriptors, nodes, branching, rng)
        levels.append(level)
    return Vocabulary(tuple(levels), branching)


def _split(
    descriptors: NDArray[np.uint8],
    parents: NDArray[np.int64],
    branching: int,
    rng: np.random.Generator,
) -> tuple[Level, NDArray[np.int64]]:
    """Cluster the descriptors of each parent; the level, and the new node of each descriptor."""
    level = _seeds(descriptors, parents, branching, rng)
    nodes = np.full(len(descriptors), -1)
    for _ in range(_ROUNDS):
        nearest = Vocabulary((level,), branching)._nearest(descriptors, level, parents)
        if np.array_equal(nearest, nodes):
            break
        nodes = nearest
        level, nodes = _without_empty(level, nodes)
        level = Level(_majority(descriptors, nodes), level.first)
    return level, nodes


def _seeds(
    descriptors: NDArray[np.uint8],
    parents: NDArray[np.int64],
    branching: int,
    rng: np.random.Generator,
) -> Level:
    """Different descriptors of each parent, those far from the ones drawn before preferred."""
    starts = np.searchsorted(parents, np.arange(parents[-1] + 2))
    drawn = starts[:-1] + (rng.random(len(starts) - 1) * np.diff(starts)).astype(np.int64)
    chosen = [drawn]
    owners = [np.arange(len(drawn))]
    distances = np.full(len(descriptors), np.iinfo(np.uint16).max, np.uint16)
    latest = drawn  # of each parent
    for _ in range(branching - 1):
        distances = np.minimum(distances, hamming(descriptors, descriptors[latest[parents]]))
        below = np.concatenate([[0], np.cumsum(distances, dtype=np.int64)])
        totals = below[starts[1:]] - below[starts[:-1]]
        at = below[starts[:-1]] + (rng.random(len(totals)) * totals).astype(np.int64)
        latest = np.where(totals > 0, np.searchsorted(below, at, side='right') - 1, latest)
        more = np.flatnonzero(totals)  # the others have no descriptor left that is different
        chosen.append(latest[more])
        owners.append(more)
    owner, row = np.concatenate(owners), np.concatenate(chosen)
    order = np.argsort(owner, kind='stable')
    first = np.searchsorted(owner[order], np.arange(len(starts)))
    return Level(descriptors[row[order]], first)


def _without_empty(level: Level, nodes: NDArray[np.int64]) -> tuple[Level, NDArray[np.int64]]:
    used = np.bincount(nodes, minlength=len(level.centres)) > 0
    before = np.concatenate([[0], np.cumsum(used)])  # used nodes before each
    return Level(level.centres[used], before[level.first]), before[nodes]


def _majority(descriptors: NDArray[np.uint8], nodes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The bits that at least half of a node's descriptors have; no node is empty."""
    order = np.argsort(nodes, kind='stable')
    starts = np.searchsorted(nodes[order], np.arange(nodes.max() + 1))
    counts = np.diff(np.append(starts, len(nodes)))
    bits = np.unpackbits(descriptors[order], axis=1)
    ones = np.add.reduceat(bits, starts, axis=0, dtype=np.int32)
    return np.packbits(2 * ones >= counts[:, None], axis=1)

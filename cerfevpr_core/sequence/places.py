"""Where keyframes stand: which share a place, and which a measured motion leads to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.spatial import cKDTree

from cerfevpr_core.sequence.keyframe_table import KeyframeTable
from cerfevpr_core.sequence.motion import Motion

Array = NDArray[np.float64]

_MOST_SOURCES = 512  # keyframes that a motion moves; the others are too unlikely to matter
_NEAREST = 12  # keyframes that a motion can lead to from one
_PLACE_DEG = 30.0  # keyframes of one place look so much the same way
_OUTSIDE = 3.0  # standard deviations at which a motion leads out of the map as likely as in


class Places:
    """The poses of a map's keyframes. Without poses there are no places."""

    def __init__(self, table: KeyframeTable) -> None:
        self.size = len(table)
        self.spacing_m = table.spacing_m()
        self.rows = np.flatnonzero(table.has_pose)  # those with a pose, as the tree counts them
        self.poses = table.poses
        self.tree = cKDTree(table.positions_m[self.rows]) if len(self.rows) else None
        self.pairs = self._pairs(table)  # (P, 2): rows of one place in different traverses

    def exchange(self) -> csr_array | None:
        """(M, M): to a keyframe of the same place in another traverse; None if there is none.

        Rows and columns of keyframes without one stay as they are.
        """
        if not len(self.pairs):
            return None
        source = np.concatenate([self.pairs[:, 0], self.pairs[:, 1]])
        target = np.concatenate([self.pairs[:, 1], self.pairs[:, 0]])
        partners = np.bincount(source, minlength=self.size)
        alone = np.flatnonzero(partners == 0)
        weights = np.concatenate([1 / partners[source], np.ones(len(alone))])
        where = np.concatenate([target, alone]), np.concatenate([source, alone])
        return coo_array((weights, where), shape=(self.size, self.size)).tocsr()

    def move(self, belief: Array, motion: Motion) -> Array:
        """(M,) -> (M,) after a motion; what leads nowhere near a keyframe is lost."""
        assert self.tree is not None
        sources = self.rows
        if len(sources) > _MOST_SOURCES:
            likely = np.argpartition(belief[sources], -_MOST_SOURCES)[-_MOST_SOURCES:]
            sources = sources[likely]
        reached = self.poses[sources] @ motion.relative.matrix()  # (K, 4, 4)
        number = min(_NEAREST, len(self.rows))
        away_m, found = self.tree.query(reached[:, :3, 3], k=range(1, number + 1))
        targets = self.rows[found]  # (K, N)
        turned_deg = self._turn_deg(reached[:, None], self.poses[targets])
        sigma_m = np.hypot(motion.sigma_m, self.spacing_m / 2)  # keyframes are that coarse
        sigma_deg = np.hypot(motion.sigma_deg, _PLACE_DEG / 2)
        chance = np.exp(-0.5 * (away_m / sigma_m) ** 2 - 0.5 * (turned_deg / sigma_deg) ** 2)
        chance /= chance.sum(axis=1, keepdims=True) + np.exp(-0.5 * _OUTSIDE**2)
        moved = belief.copy()
        moved[sources] = 0
        np.add.at(moved, targets, chance * belief[sources, None])
        return moved

    def _pairs(self, table: KeyframeTable) -> NDArray[np.int64]:
        if self.tree is None or not self.spacing_m:
            return np.zeros((0, 2), np.int64)
        pairs = self.rows[self.tree.query_pairs(self.spacing_m, output_type='ndarray')]
        first, second = pairs[:, 0], pairs[:, 1]
        joined = table.traverses[first] != table.traverses[second]
        joined &= self._turn_deg(self.poses[first], self.poses[second]) <= _PLACE_DEG
        return pairs[joined]

    @staticmethod
    def _turn_deg(poses0: Array, poses1: Array) -> Array:
        """Between directions of view of poses (..., 4, 4)."""
        cosine = (poses0[..., :3, 2] * poses1[..., :3, 2]).sum(axis=-1)
        return np.degrees(np.arccos(np.clip(cosine, -1, 1)))

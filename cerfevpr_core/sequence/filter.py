"""A discrete Bayes filter over keyframes, speeds and nowhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from cerfevpr_core.config import SequenceConfig
from cerfevpr_core.sequence.evidence import Evidence, Odds
from cerfevpr_core.sequence.keyframe_table import KeyframeTable
from cerfevpr_core.sequence.motion import Motion
from cerfevpr_core.sequence.places import Places
from cerfevpr_core.sequence.transitions import SPEEDS, along_order, speed_changes

Array = NDArray[np.float64]

_WORTH_A_STEP = 0.5  # of the spacing of keyframes: less than that is kept for the next image
_WORTH_A_TURN_DEG = 15.0
_STANDS_M, _STANDS_DEG = 0.02, 1.0  # where there are no poses, a robot stands that moves less


@dataclass(frozen=True)
class Belief:
    """Where the robot is, after an image: all chances add up to 1.

    `ids` (M,) are keyframes, `places` (M,) the chance that it is at one, next to it in order or
    at another of its place,
    `order` (M,) rows from best to last, `nowhere` the chance that it is in no place of the map.
    """

    ids: NDArray[np.int64]
    places: Array
    order: NDArray[np.int64]
    nowhere: float


class KeyframeFilter:
    """The belief over a table of keyframes, image after image; only past images count."""

    def __init__(self, config: SequenceConfig, table: KeyframeTable) -> None:
        self.config, self.table = config, table
        self.places = Places(table)
        self.along_order = along_order(table)
        self.beside = _beside(table, self.places.pairs)
        self.exchange = self.places.exchange()
        self.speed_changes = speed_changes(config.change_speed, config.any_speed)
        self.evidence = Evidence(config, len(table))
        number = len(SPEEDS) * len(table)
        self.nowhere = 0.5
        self.state = np.full((len(SPEEDS), len(table)), 0.5 / max(number, 1))  # (S, M)
        self.pending: Motion | None = None  # too little so far to reach another keyframe

    def update(
        self, similarities: Array, landmarks: Array | None = None, motion: Motion | None = None
    ) -> Belief:
        """Similarities (M,) of the next image, NaN where unknown -> the belief."""
        self.predict(motion)
        odds = self.evidence.weigh(similarities, landmarks)
        self.correct(odds)
        keyframes = self.state.sum(axis=0)
        places = self.beside @ keyframes
        # Within a place the image itself knows best which keyframe it is; a jump takes several.
        score = np.log(places + 1e-3 * keyframes + 1e-300) + odds.said
        order = np.argsort(-score, kind='stable')
        return Belief(self.table.ids, np.minimum(places, 1.0), order, self.nowhere)

    def predict(self, motion: Motion | None = None) -> None:
        """Where it may be at the next image."""
        config, inside = self.config, float(self.state.sum())
        moved = self._moved(motion)
        if self.exchange is not None:
            across = (self.exchange @ moved.T).T
            moved = (1 - config.exchange) * moved + config.exchange * across
        placed = config.enter * self.nowhere + config.jump * inside  # anywhere, at any speed
        self.state = (1 - config.jump - config.leave) * moved + placed / moved.size
        self.nowhere = max(1 - float(self.state.sum()), 1e-9)

    def correct(self, odds: Odds) -> None:
        """What an image says of each keyframe."""
        self.state *= np.exp(odds.robust)
        total = float(self.state.sum()) + self.nowhere
        self.state /= total
        self.nowhere /= total

    def take_over(self, old: KeyframeFilter) -> None:
        """What another filter believed of keyframes that both have; new ones start low."""
        _, new_rows, old_rows = np.intersect1d(
            self.table.ids, old.table.ids, assume_unique=True, return_indices=True
        )
        jump = self.config.jump * float(old.state.sum()) / max(self.state.size, 1)
        self.state[:] = jump
        self.state[:, new_rows] += old.state[:, old_rows]
        self.nowhere = max(old.nowhere, 1e-9)
        total = float(self.state.sum()) + self.nowhere
        self.state, self.nowhere = self.state / total, self.nowhere / total
        self.pending = old.pending
        self.evidence.take_over(old.evidence, new_rows, old_rows)

    def _moved(self, motion: Motion | None) -> Array:
        if motion is not None and self.places.spacing_m:
            return self._moved_by_odometry(motion)
        if motion is not None and _stands(motion):
            return self.state
        changed = (self.speed_changes @ self.state).ravel()
        return (self.along_order @ changed).reshape(self.state.shape)

    def _moved_by_odometry(self, motion: Motion) -> Array:
        self.pending = pending = self.pending.then(motion) if self.pending else motion
        step_m = _WORTH_A_STEP * self.places.spacing_m
        if pending.distance_m < step_m and pending.turn_deg < _WORTH_A_TURN_DEG:
            return self.state
        self.pending = None
        keyframes = self.state.sum(axis=0)
        # The speed is what odometry says: what order knew of it is no longer of use.
        return np.tile(self.places.move(keyframes, pending) / len(SPEEDS), (len(SPEEDS), 1))


def _stands(motion: Motion) -> bool:
    return motion.distance_m < _STANDS_M and motion.turn_deg < _STANDS_DEG


def _beside(table: KeyframeTable, pairs: NDArray[np.int64]) -> csr_array:
    """(M, M): each keyframe with those before and after it, and others of its place (P, 2)."""
    rows = np.arange(len(table))
    steps = [np.stack([run[:-1], run[1:]], axis=1) for run in table.runs()]
    linked = np.concatenate([*steps, pairs])
    source = np.concatenate([rows, linked[:, 0], linked[:, 1]])
    target = np.concatenate([rows, linked[:, 1], linked[:, 0]])
    shape = (len(table), len(table))
    return coo_array((np.ones(len(source)), (target, source)), shape=shape).tocsr()

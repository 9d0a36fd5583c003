"""The filter beside a map: candidates in, candidates out, in the order of the belief."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.config import SequenceConfig
from cerfevpr_core.place_map import Candidate
from cerfevpr_core.sequence.filter import KeyframeFilter
from cerfevpr_core.sequence.keyframe_table import KeyframeTable
from cerfevpr_core.sequence.motion import Motion

Array = NDArray[np.float64]


class _Keyframes(Protocol):
    def everything(self) -> list[Candidate]: ...

    def candidates(self, pairs: Iterable[tuple[int, float]]) -> list[Candidate]: ...


class FollowedMap(Protocol):
    """What is followed in: a place map, or a part of one."""

    @property
    def generation(self) -> str: ...

    @property
    def store(self) -> _Keyframes: ...

    def __len__(self) -> int: ...

    def similarities(
        self, descriptor: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]: ...


@dataclass(frozen=True)
class Followed:
    """As many candidates as came in, best first, and the chance to be in no place of the map."""

    candidates: list[Candidate]
    nowhere: float


class SequenceFilter:
    """One robot's belief about where it is in a map; belongs to one stream of images in order.

    With `traverses` only keyframes of these count.
    """

    def __init__(
        self, config: SequenceConfig, place_map: FollowedMap, traverses: Sequence[str] = ()
    ) -> None:
        self.config, self.place_map, self.traverses = config, place_map, traverses
        self.forget()

    def forget(self) -> None:
        """Start again: nothing is known of where the robot is."""
        self._generation = self.place_map.generation
        self._filter = self._new_filter()

    def follow(
        self,
        descriptor: NDArray[np.float32],
        candidates: Sequence[Candidate],
        motion: Motion | None = None,
    ) -> Followed:
        """The next image: its descriptor (E,) and what single-image stages found for it.

        A motion is that since the last image. Keyframes that the image alone did not rank high
        may come in.
        """
        if self.place_map.generation != self._generation:
            self._take_changes()
        if not len(self._filter.table) or not len(self.place_map):
            return Followed(list(candidates), 1.0)
        similarities = self._similarities(descriptor)
        belief = self._filter.update(similarities, self._landmarks(candidates), motion)
        known = np.isfinite(similarities[belief.order])
        chosen = belief.order[known][: len(candidates)]
        found = self._candidates(chosen, candidates, similarities)
        return Followed(
            [
                replace(found[number], belief=float(belief.places[row]))
                for row in chosen
                if (number := int(belief.ids[row])) in found
            ],
            belief.nowhere,
        )

    def _similarities(self, descriptor: NDArray[np.float32]) -> Array:
        """(M,), by the rows of the table."""
        ids, similarities = self.place_map.similarities(descriptor)
        wanted = self._filter.table.ids
        if np.array_equal(ids, wanted):
            return similarities
        if not len(ids):  # all were removed since the table was made
            return np.full(len(wanted), np.nan)
        rows = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
        return np.where(ids[rows] == wanted, similarities[rows], np.nan)

    def _landmarks(self, candidates: Sequence[Candidate]) -> Array:
        """(M,), NaN for keyframes that were not re-ranked."""
        ids = self._filter.table.ids
        found = np.full(len(ids), np.nan)
        for candidate in candidates:
            row = int(np.searchsorted(ids, candidate.keyframe_id))
            if row < len(ids) and ids[row] == candidate.keyframe_id:
                found[row] = candidate.landmark_similarity  # None becomes NaN
        return found

    def _candidates(
        self, rows: NDArray[np.int64], known: Sequence[Candidate], similarities: Array
    ) -> dict[int, Candidate]:
        found = {c.keyframe_id: c for c in known}
        ids = self._filter.table.ids
        new = [(int(ids[row]), float(similarities[row])) for row in rows if ids[row] not in found]
        return found | {c.keyframe_id: c for c in self.place_map.store.candidates(new)}

    def _take_changes(self) -> None:
        """Keyframes were added or removed: keep what is believed of those that stay."""
        old, self._generation = self._filter, self.place_map.generation
        self._filter = self._new_filter()
        self._filter.take_over(old)

    def _new_filter(self) -> KeyframeFilter:
        keyframes = self.place_map.store.everything()
        chosen = [k for k in keyframes if not self.traverses or k.traverse in self.traverses]
        return KeyframeFilter(self.config, KeyframeTable.of(chosen))

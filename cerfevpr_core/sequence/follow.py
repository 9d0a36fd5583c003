"""The filter beside a map: candidates in, candidates out, in the order of the belief."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.config import SequenceConfig
from cerfevpr_core.place_map import Candidate, PlaceMap
from cerfevpr_core.sequence.filter import KeyframeFilter
from cerfevpr_core.sequence.keyframe_table import KeyframeTable
from cerfevpr_core.sequence.motion import Motion

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Followed:
    """As many candidates as came in, best first, and the chance to be in no place of the map."""

    candidates: list[Candidate]
    nowhere: float


class SequenceFilter:
    """One robot's belief about where it is in a map; belongs to one stream of images in order."""

    def __init__(self, config: SequenceConfig, place_map: PlaceMap) -> None:
        self.config, self.place_map = config, place_map
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
        if not len(self._filter.table):
            return Followed(list(candidates), 1.0)
        similarities = self._similarities(descriptor)
        belief = self._filter.update(similarities, self._landmarks(candidates), motion)
        chosen = belief.order[: len(candidates)]
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
        if np.array_equal(ids, self._filter.table.ids):
            return similarities
        known = dict(zip(ids.tolist(), similarities.tolist(), strict=True))
        return np.array([known.get(i, np.nan) for i in self._filter.table.ids.tolist()])

    def _landmarks(self, candidates: Sequence[Candidate]) -> Array:
        """(M,), NaN for keyframes that were not re-ranked."""
        rows = np.searchsorted(self._filter.table.ids, [c.keyframe_id for c in candidates])
        found = np.full(len(self._filter.table), np.nan)
        for row, candidate in zip(rows, candidates, strict=True):
            if candidate.landmark_similarity is not None and row < len(found):
                found[row] = candidate.landmark_similarity
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
        return KeyframeFilter(self.config, KeyframeTable.of(self.place_map.store.everything()))

"""A database in memory that is searched, and whose first candidates are re-ranked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.config import Selection
from cerfevpr_core.describer import Describer, Description
from cerfevpr_core.evaluation.metrics import RECALL_AT
from cerfevpr_core.images import Image
from cerfevpr_core.landmarks import Landmarks
from cerfevpr_core.landmarks.rerank import joint_similarity, rerank
from cerfevpr_core.landmarks.selector import LandmarkSelector
from cerfevpr_core.model import backbone_fingerprint
from cerfevpr_core.place_map import Candidate
from cerfevpr_core.place_map.index import VectorIndex
from cerfevpr_core.recognizer import StageClock


@dataclass(frozen=True)
class Ranking:
    """Of the database for one query: rows, best first, and what they are ordered by (M,)."""

    ranked: list[int]
    similarity: NDArray[np.float32]
    describe_ms: float
    search_ms: float
    rerank_ms: float


class SearchedDatabase:
    """Images described once and ranked in several ways: by the descriptor, and re-ranked.

    `selections` are those of the landmarks; `none` leaves the descriptor's order.
    """

    def __init__(self, describer: Describer, selections: Sequence[Selection]) -> None:
        self.describer, self.config = describer, describer.config.landmarks
        backbone = backbone_fingerprint(describer.model)
        self.selectors = [
            LandmarkSelector(replace(self.config, selection=selection), backbone)
            for selection in selections
        ]
        self.descriptors: list[NDArray[np.float32]] = []
        self.landmarks: list[list[Landmarks | None]] = []  # of each image, by each selector

    def add(self, image: Image) -> None:
        """One more image of the database."""
        seen = self.describer.see_keyframe(image)
        self.descriptors.append(seen.descriptors)
        self.landmarks.append([selector.select(seen.patches) for selector in self.selectors])

    @property
    def descriptor_dim(self) -> int:
        """E."""
        return self.descriptors[0].shape[1]

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """(M, P, E): of an image's P descriptors the best counts."""
        return np.stack(self.descriptors)

    @cached_property
    def index(self) -> VectorIndex:
        """Of all descriptors; to be used once all images are there."""
        owners = np.repeat(np.arange(len(self.vectors)), self.vectors.shape[1])
        return VectorIndex.build('flat', owners, self.vectors.reshape(len(owners), -1))

    def answers(self, image: Image) -> list[Ranking]:
        """To one query by itself, one for each selection."""
        wanted = min(max(*RECALL_AT, self.config.num_candidates), len(self.vectors))
        assert self.index.keyframe_ids is not None  # built before anything is timed
        clock = StageClock()
        seen = self.describer.see(image)
        clock.stop('describe')
        found = self.index.search(seen.descriptor, wanted)
        clock.stop('search')
        first = [Candidate(row, '', similarity) for row, similarity in found]
        similarity = (self.vectors @ seen.descriptor).max(axis=1)
        return [
            self._ranking(number, seen, first, similarity, clock.stage_ms)
            for number in range(len(self.selectors))
        ]

    def _ranking(
        self,
        number: int,
        seen: Description,
        candidates: list[Candidate],
        similarity: NDArray[np.float32],
        stage_ms: dict[str, float],
    ) -> Ranking:
        clock = StageClock()
        query = self.selectors[number].select(seen.patches)
        weight = self.config.descriptor_weight
        if query is not None:
            count = self.config.num_candidates
            known = [self.landmarks[c.keyframe_id][number] for c in candidates[:count]]
            ranked = rerank(query, candidates[:count], known, weight)
            clock.stop('rerank')
            candidates = ranked + candidates[count:]
            similarity = similarity * (weight / (1 + weight))  # as without any landmark in common
            for candidate in ranked:
                similarity[candidate.keyframe_id] = joint_similarity(candidate, weight)
        top = [candidate.keyframe_id for candidate in candidates[: max(RECALL_AT)]]
        rerank_ms = clock.stage_ms.get('rerank', 0.0)
        return Ranking(top, similarity, stage_ms['describe'], stage_ms['search'], rerank_ms)

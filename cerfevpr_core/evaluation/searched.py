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
from cerfevpr_core.sequence import KeyframeFilter, KeyframeTable


@dataclass(frozen=True)
class Ranking:
    """Of the database for one query: rows, best first, and what they are ordered by (M,).

    With a sequence that is the belief, which leaves the order within a place to the image.
    """

    ranked: list[int]
    similarity: NDArray[np.float32]
    describe_ms: float
    search_ms: float
    rerank_ms: float
    sequence_ms: float = 0.0
    landmarks: NDArray[np.float64] | None = None  # similarities (M,), NaN: not re-ranked


class SearchedDatabase:
    """Images described once and ranked in several ways: by the descriptor, and re-ranked.

    `selections` are those of the landmarks; `none` leaves the descriptor's order. Queries are a
    sequence for those numbered in `in_order`.
    """

    def __init__(
        self,
        describer: Describer,
        selections: Sequence[Selection],
        in_order: Sequence[int] = (),
    ) -> None:
        self.describer, self.config = describer, describer.config.landmarks
        backbone = backbone_fingerprint(describer.model)
        self.selectors = [
            LandmarkSelector(replace(self.config, selection=selection), backbone)
            for selection in selections
        ]
        self.in_order = in_order
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

    @cached_property
    def filters(self) -> dict[int, KeyframeFilter]:
        """What each ranking in order knows of the queries so far."""
        table = KeyframeTable.of_one_traverse(len(self.vectors))
        config = self.describer.config.sequence
        return {number: KeyframeFilter(config, table) for number in self.in_order}

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
        rankings = [
            self._ranking(number, seen, first, similarity, clock.stage_ms)
            for number in range(len(self.selectors))
        ]
        return [
            self._followed(number, ranking, similarity) for number, ranking in enumerate(rankings)
        ]

    def _followed(self, number: int, ranking: Ranking, similarity: NDArray[np.float32]) -> Ranking:
        """The ranking by this query and those before it, where they are a sequence."""
        if number not in self.filters:
            return ranking
        clock = StageClock()
        belief = self.filters[number].update(similarity.astype(float), ranking.landmarks)
        clock.stop('sequence')
        return replace(
            ranking,
            ranked=belief.order[: len(ranking.ranked)].tolist(),
            similarity=belief.places.astype(np.float32),
            sequence_ms=clock.stage_ms['sequence'],
        )

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
        landmarks = None
        if query is not None:
            count = self.config.num_candidates
            known = [self.landmarks[c.keyframe_id][number] for c in candidates[:count]]
            ranked = rerank(query, candidates[:count], known, weight)
            clock.stop('rerank')
            candidates = ranked + candidates[count:]
            similarity = similarity * (weight / (1 + weight))  # as without any landmark in common
            landmarks = np.full(len(similarity), np.nan)
            for candidate in ranked:
                similarity[candidate.keyframe_id] = joint_similarity(candidate, weight)
                landmarks[candidate.keyframe_id] = candidate.landmark_similarity
        top = [candidate.keyframe_id for candidate in candidates[: max(RECALL_AT)]]
        rerank_ms = clock.stage_ms.get('rerank', 0.0)
        return Ranking(
            top,
            similarity,
            stage_ms['describe'],
            stage_ms['search'],
            rerank_ms,
            landmarks=landmarks,
        )

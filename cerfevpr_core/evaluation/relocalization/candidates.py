"""Where the candidates of a query come from: a bag of words, or descriptors and landmarks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from cerfevpr_core.config import LandmarksConfig
from cerfevpr_core.evaluation.bag_of_words import Vocabulary, WordIndex, train_vocabulary
from cerfevpr_core.landmarks.rerank import rerank
from cerfevpr_core.place_map import Candidate

from .seen import WORDS, Seen


class Candidates(Protocol):
    """Keyframes that may show what a query shows, best first, as indices of the map."""

    name: str
    needs: tuple[str, ...]  # parts of a query it takes, whose time counts as its own

    def search(self, query: Seen, top_k: int) -> list[int]: ...


class Words:
    """The map's own vocabulary, and the nodes of its keyframes and of queries."""

    def __init__(self, keyframes: Sequence[Seen]) -> None:
        self.vocabulary: Vocabulary = train_vocabulary(np.concatenate([k.bits for k in keyframes]))

    def applied(self, seen: Seen) -> Seen:
        """The same image with its nodes."""
        start = time.perf_counter()
        nodes = self.vocabulary.nodes(seen.bits)
        return seen.with_nodes(nodes, 1000 * (time.perf_counter() - start))


class WordCandidates:
    """As DBoW2 searches them."""

    name = 'words'
    needs: tuple[str, ...] = (WORDS, 'words')

    def __init__(self, words: Words, keyframes: Sequence[Seen]) -> None:
        self.index = WordIndex(words.vocabulary.num_words, [k.nodes[:, -1] for k in keyframes])

    def search(self, query: Seen, top_k: int) -> list[int]:
        """See Candidates."""
        return [image for image, _ in self.index.search(query.nodes[:, -1], top_k)]


class LandmarkCandidates:
    """The nearest descriptors, re-ranked by landmarks, as the recognizer does it."""

    name = 'landmarks'
    needs: tuple[str, ...] = ('landmarks',)

    def __init__(self, keyframes: Sequence[Seen], config: LandmarksConfig) -> None:
        self.config = config
        self.keyframes = keyframes
        # (M, P, E): of the P descriptors of a keyframe the best counts
        self.descriptors = np.stack([keyframe.descriptors for keyframe in keyframes])

    def search(self, query: Seen, top_k: int) -> list[int]:
        """See Candidates."""
        similarities = (self.descriptors @ query.descriptors[-1]).max(axis=1)
        near = np.argsort(-similarities, kind='stable')[: self.config.num_candidates]
        found = [Candidate(int(i), '', float(similarities[i])) for i in near]
        known = [self.keyframes[i].landmarks for i in near]
        ranked = rerank(query.landmarks, found, known, self.config.descriptor_weight)
        return [candidate.keyframe_id for candidate in ranked[:top_k]]

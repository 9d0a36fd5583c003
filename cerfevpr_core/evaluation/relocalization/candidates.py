"""Where the candidates of a query come from: a bag of words, or descriptors and landmarks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from cerfevpr_core.evaluation.bag_of_words import Vocabulary, WordIndex, train_vocabulary
from cerfevpr_core.landmarks import match_landmarks

from .seen import WORDS, Seen

NUM_RERANKED = 30


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

    name = 'bag of words'
    needs: tuple[str, ...] = (WORDS, 'words')

    def __init__(self, words: Words, keyframes: Sequence[Seen]) -> None:
        self.index = WordIndex(words.vocabulary.num_words, [k.nodes[:, -1] for k in keyframes])

    def search(self, query: Seen, top_k: int) -> list[int]:
        """See Candidates."""
        return [image for image, _ in self.index.search(query.nodes[:, -1], top_k)]


class LandmarkCandidates:
    """The nearest descriptors, put into the order of their landmarks' similarity."""

    name = 'landmarks'
    needs: tuple[str, ...] = ('landmarks',)

    def __init__(self, keyframes: Sequence[Seen]) -> None:
        self.landmarks = [keyframe.landmarks for keyframe in keyframes]
        self.descriptors = np.stack([keyframe.descriptor for keyframe in keyframes])  # (M, E)

    def search(self, query: Seen, top_k: int) -> list[int]:
        """See Candidates."""
        near = np.argsort(-(self.descriptors @ query.descriptor), kind='stable')[:NUM_RERANKED]
        matched = match_landmarks(query.landmarks, [self.landmarks[i] for i in near])
        similarities = np.array([each.similarity for each in matched])
        return [int(near[i]) for i in np.argsort(-similarities, kind='stable')[:top_k]]

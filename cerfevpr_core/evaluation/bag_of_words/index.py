"""The images of a map as tf-idf vectors of words, and the search for the most similar ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class WordIndex:
    """M images by their words; the weight of a word is idf = ln(M / images that have it).

    Similarity is DBoW2's 1 - 0.5 |v0 - v1|_1 of two vectors of L1 length one, which is the sum of
    min(v0, v1) over the words that both have: an inverted index touches no others.
    """

    def __init__(self, num_words: int, words: Sequence[NDArray[np.int64]]) -> None:
        """`words` are those of each image's keypoints, any number."""
        self.num_images = len(words)
        counts = np.zeros(num_words, np.int64)
        for each in words:
            counts[np.unique(each)] += 1
        rarity = max(self.num_images, 1) / np.maximum(counts, 1)
        self.idf = np.where(counts > 0, np.log(rarity), 0.0)
        vectors = [self.vector(each) for each in words]
        owners = np.repeat(np.arange(len(words)), [len(ids) for ids, _ in vectors])
        ids = np.concatenate([np.zeros(0, np.int64), *(ids for ids, _ in vectors)])
        order = np.argsort(ids, kind='stable')
        self._first = np.searchsorted(ids[order], np.arange(num_words + 1))
        self._owners = owners[order]
        self._weights = np.concatenate([np.zeros(0), *(weights for _, weights in vectors)])[order]

    def vector(self, words: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The words of an image that weigh anything, and their weights, which add up to one."""
        ids, counts = np.unique(words, return_counts=True)
        weights = counts * self.idf[ids]
        some = weights > 0
        return ids[some], weights[some] / max(weights.sum(), 1e-300)

    def similarities(self, words: NDArray[np.int64]) -> NDArray[np.float64]:
        """With each image of the map, (M,)."""
        ids, weights = self.vector(words)
        starts, lengths = self._first[ids], self._first[ids + 1] - self._first[ids]
        ends = np.cumsum(lengths)
        inside = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - lengths, lengths)
        entries = np.repeat(starts, lengths) + inside
        common = np.minimum(self._weights[entries], np.repeat(weights, lengths))
        totals = np.bincount(self._owners[entries], common, minlength=self.num_images)
        return totals.astype(np.float64)  # whole numbers where nothing is in common

    def search(self, words: NDArray[np.int64], top_k: int) -> list[tuple[int, float]]:
        """The most similar images and their similarities, best first; equal ones in map order."""
        similarities = self.similarities(words)
        best = np.argsort(-similarities, kind='stable')[:top_k]
        return [(int(image), float(similarities[image])) for image in best]

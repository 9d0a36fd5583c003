"""The bag of visual words: its tree, its weights, its similarity and its matches."""

from __future__ import annotations

import numpy as np
import pytest

from cerfevpr_core.evaluation.bag_of_words import (
    WordIndex,
    match_in_words,
    train_vocabulary,
)
from cerfevpr_core.evaluation.bag_of_words.hamming import all_hamming, hamming

FOUR = np.array([[0b0000_0000], [0b0000_0001], [0b1111_1111], [0b1111_1110]], np.uint8)


def descriptors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), np.uint8)


def test_a_tree_worked_by_hand():
    vocabulary = train_vocabulary(FOUR, branching=2, depth=2)
    low, low2, high, high2 = vocabulary.nodes(FOUR)
    assert vocabulary.num_words == 4
    assert low[0] == low2[0] != high[0] == high2[0]
    assert len({low[1], low2[1], high[1], high2[1]}) == 4
    # Of two descriptors each bit has at least half: the centre is their union.
    assert sorted(vocabulary.levels[0].centres[:, 0]) == [0b0000_0001, 0b1111_1111]
    assert sorted(vocabulary.levels[1].centres[:, 0]) == sorted(FOUR[:, 0])


def test_a_descriptor_goes_to_the_nearest_child_at_each_level():
    known, new = descriptors(600), descriptors(50, seed=1)
    vocabulary = train_vocabulary(known, branching=4, depth=3)
    for descriptor, path in zip(new, vocabulary.nodes(new), strict=True):
        parent = 0
        for level, node in zip(vocabulary.levels, path, strict=True):
            children = range(level.first[parent], level.first[parent + 1])
            distances = [int(hamming(descriptor, level.centres[i])) for i in children]
            assert node == children[int(np.argmin(distances))]
            parent = node


def test_the_same_seed_gives_the_same_tree():
    known = descriptors(500)
    one, same, other = (train_vocabulary(known, seed=seed) for seed in (3, 3, 4))
    for level0, level1 in zip(one.levels, same.levels, strict=True):
        assert np.array_equal(level0.centres, level1.centres)
        assert np.array_equal(level0.first, level1.first)
    assert not np.array_equal(one.levels[-1].centres, other.levels[-1].centres)


def test_clustering_lowers_the_distance_to_the_words():
    rng = np.random.default_rng(0)
    centres = descriptors(20, seed=9)[rng.integers(0, 20, 1000)]
    flips = np.packbits(rng.random((1000, 256)) < 0.05, axis=1)
    noisy = centres ^ flips
    vocabulary = train_vocabulary(noisy, branching=20, depth=1)
    words = vocabulary.levels[0].centres[vocabulary.nodes(noisy)[:, 0]]
    # 5 % of 256 bits differ from the true centres; k-majority may join a few clusters.
    assert hamming(noisy, words).mean() < 30


def test_equal_descriptors_share_one_word():
    vocabulary = train_vocabulary(np.zeros((50, 32), np.uint8), branching=10, depth=3)
    assert vocabulary.num_words == 1


def test_distances_are_counted_bits():
    one, other = descriptors(7), descriptors(5, seed=1)
    expected = [
        [bin(int.from_bytes(a.tobytes()) ^ int.from_bytes(b.tobytes())).count('1') for b in other]
        for a in one
    ]
    assert np.array_equal(all_hamming(one, other), expected)
    assert np.array_equal(hamming(one[:, None], other), expected)


def test_weights_worked_by_hand():
    # Word 0 is in both images: it says nothing. Words 1 and 2 are in one of two.
    index = WordIndex(4, [np.array([0, 1, 1]), np.array([0, 2])])
    assert index.idf == pytest.approx([0, np.log(2), np.log(2), 0])
    ids, weights = index.vector(np.array([0, 1, 2, 2]))
    assert list(ids) == [1, 2]
    assert weights == pytest.approx([1 / 3, 2 / 3])
    assert index.similarities(np.array([0, 1, 2, 2])) == pytest.approx([1 / 3, 2 / 3])


def test_the_same_image_has_similarity_one():
    words = [np.random.default_rng(i).integers(0, 40, 100) for i in range(5)]
    index = WordIndex(40, words)
    for image, each in enumerate(words):
        first, similarity = index.search(each, 1)[0]
        assert first == image
        assert similarity == pytest.approx(1)


def test_similarity_equals_a_plain_loop():
    rng = np.random.default_rng(0)
    words = [rng.integers(0, 60, rng.integers(0, 80)) for _ in range(12)]
    index = WordIndex(60, words)

    def vector(image: np.ndarray) -> list[float]:
        idf = [
            np.log(len(words) / n) if (n := sum(w in each for each in words)) else 0.0
            for w in range(60)
        ]
        weights = [list(image).count(w) / max(len(image), 1) * idf[w] for w in range(60)]
        return [w / (sum(weights) or 1) for w in weights]

    query = rng.integers(0, 60, 50)
    for image, similarity in zip(words, index.similarities(query), strict=True):
        apart = sum(abs(a - b) for a, b in zip(vector(query), vector(image), strict=True))
        expected = 1 - 0.5 * apart if len(image) else 0
        assert similarity == pytest.approx(expected)


def test_images_without_or_with_one_keypoint_are_answered():
    none, one = np.zeros((0, 32), np.uint8), descriptors(1)
    vocabulary = train_vocabulary(none)
    assert vocabulary.num_words == 1
    assert vocabulary.nodes(none).shape == (0, 1)
    vocabulary = train_vocabulary(one)
    words = [vocabulary.nodes(each)[:, -1] for each in (none, one)]
    index = WordIndex(vocabulary.num_words, words)
    assert index.search(words[0], 5) == [(0, 0), (1, 0)]
    assert index.search(words[1], 5) == [(1, 1), (0, 0)]
    assert WordIndex(1, []).search(words[1], 5) == []
    nothing = np.zeros(0, np.int64)
    assert match_in_words(none, nothing, one, words[1])[0].shape == (0, 2)
    assert match_in_words(one, words[1], one, words[1])[0].tolist() == [[0, 0]]


def test_keypoints_match_only_inside_a_node():
    known = descriptors(20)
    nodes = np.arange(20) % 4
    pairs, differing = match_in_words(known, nodes, known, nodes)
    assert pairs.tolist() == [[i, i] for i in range(20)]
    assert not differing.any()
    assert not len(match_in_words(known, nodes, known, (nodes + 1) % 4)[0])


def test_matches_are_near_distinct_and_mutual():
    base = np.zeros(32, np.uint8)

    def with_bits(count: int) -> np.ndarray:
        return np.packbits(np.arange(256) < count) ^ base

    def matched(first: list[int], second: list[int]) -> list[list[int]]:
        sides = [np.array([with_bits(n) for n in counts]) for counts in (first, second)]
        nodes = [np.zeros(len(side), np.int64) for side in sides]
        return match_in_words(sides[0], nodes[0], sides[1], nodes[1])[0].tolist()

    assert matched([0], [50]) == [[0, 0]]
    assert matched([0], [51]) == []  # too far
    assert matched([0], [35, 40]) == [[0, 0]]
    assert matched([0], [36, 40]) == []  # the second is about as near
    assert matched([0, 5], [6]) == [[1, 0]]  # the other's nearest is a nearer one

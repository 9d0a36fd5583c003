"""Landmark similarity, eqs 3 to 5: against cases worked by hand and a plain loop."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from cerfevpr_core.errors import MapError
from cerfevpr_core.evaluation.landmark_times import plain_similarity
from cerfevpr_core.landmarks import Landmarks, match_landmarks
from cerfevpr_core.landmarks.landmarks import pack, select, unpack


def landmarks(features, cells, grid=(14, 14)) -> Landmarks:
    """Of features (any length) at cells (x, y)."""
    rows = np.asarray(features, np.float32)
    x, y = np.asarray(cells, np.int16).reshape(-1, 2).T
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True) if len(rows) else rows
    return Landmarks(unit, y, x, np.ones(len(rows), np.float32), grid)


def drawn(rng: np.random.Generator, number: int, dim: int = 16) -> Landmarks:
    cells = rng.choice(14 * 14, number, replace=False)
    features = rng.standard_normal((number, dim))
    return landmarks(features, np.stack([cells % 14, cells // 14], axis=1))


def test_three_landmarks_that_moved_alike_count_whole_and_one_that_did_not_counts_less() -> None:
    axes = np.eye(4)
    query = landmarks(axes, [(3, 3), (5, 3), (5, 6), (9, 9)])
    # The first three moved by two cells, the last by three to the side and one down.
    candidate = landmarks(axes, [(1, 3), (3, 3), (3, 6), (6, 8)])
    (found,) = match_landmarks(query, [candidate])
    assert found.shift == (2, 0)
    assert found.weights == pytest.approx([1, 1, 1, math.exp(-0.5 * (1 + 1))])
    assert found.similarity == pytest.approx(3 + math.exp(-1))


def test_only_mutually_nearest_landmarks_match() -> None:
    query = landmarks([[1, 0], [1, 0.2]], [(0, 0), (1, 0)])
    candidate = landmarks([[1, 0.1], [0, 1]], [(0, 0), (5, 5)])
    (found,) = match_landmarks(query, [candidate])
    # Both look most like the candidate's first; it looks most like the query's second or first.
    nearest = int(np.argmax(candidate.features[0] @ query.features.T))
    assert found.query.tolist() == [nearest] and found.candidate.tolist() == [0]
    assert found.similarity == pytest.approx(
        float(query.features[nearest] @ candidate.features[0])
    )


def test_differences_without_a_peak_are_said_and_count_as_one_match() -> None:
    axes = np.eye(3)
    query = landmarks(axes, [(0, 0), (1, 0), (2, 0)])
    candidate = landmarks(axes, [(2, 0), (1, 0), (0, 0)])  # as seen from behind
    (found,) = match_landmarks(query, [candidate])
    assert found.shift is None
    assert found.weights == pytest.approx([1 / 3] * 3) and found.similarity == pytest.approx(1)


def test_a_batch_gives_what_a_loop_over_the_formulas_gives() -> None:
    rng = np.random.default_rng(0)
    query = drawn(rng, 75)
    candidates = [drawn(rng, n) for n in (75, 75, 20, 1, 50)]
    noisy = query.features + 0.1 * rng.standard_normal(query.features.shape).astype(np.float32)
    candidates.append(landmarks(noisy, np.stack([query.columns, query.rows], axis=1)))
    found = match_landmarks(query, candidates)
    for matches, candidate in zip(found, candidates, strict=True):
        assert matches.similarity == pytest.approx(plain_similarity(query, candidate), rel=1e-5)
    assert found[-1].shift == (0, 0) and found[-1].similarity > 2 * found[0].similarity


@pytest.mark.parametrize('number', [1, 64, 65, 130])
def test_a_candidates_similarity_is_the_same_alone_and_among_any_others(number) -> None:
    rng = np.random.default_rng(1)
    query, candidates = drawn(rng, 30), [drawn(rng, 30) for _ in range(number)]
    together = match_landmarks(query, candidates)
    assert len(together) == number
    (alone,) = match_landmarks(query, candidates[-1:])
    assert together[-1].similarity == pytest.approx(alone.similarity, rel=1e-5)
    assert together[-1].query.tolist() == alone.query.tolist()


def test_images_without_landmarks_are_similar_to_nothing() -> None:
    rng = np.random.default_rng(2)
    none, some = landmarks(np.zeros((0, 16)), []), drawn(rng, 5)
    assert match_landmarks(some, []) == []
    for query, candidates in ((none, [some, none]), (some, [none]), (none, [none])):
        found = match_landmarks(query, candidates)
        assert [m.similarity for m in found] == [0.0] * len(candidates)
        assert all(len(m.query) == 0 and m.shift is None for m in found)
    empty_beside = match_landmarks(some, [none, some])
    assert empty_beside[0].similarity == 0 and empty_beside[1].similarity == pytest.approx(5)


def test_landmarks_that_are_all_equal_match_once_and_break_nothing() -> None:
    same = landmarks(np.ones((6, 4)), [(x, 0) for x in range(6)])
    (found,) = match_landmarks(same, [same])
    assert len(found.query) == 1 and found.similarity == pytest.approx(1)


def test_the_strongest_cells_are_selected_with_their_places() -> None:
    features = np.arange(2 * 2 * 3, dtype=np.float32).reshape(2, 2, 3) + 1
    weights = np.array([[0, 3, 0], [9, 0, 5]], np.float32)
    chosen = select(features, weights, 3)
    assert chosen.rows.tolist() == [1, 1, 0] and chosen.columns.tolist() == [0, 2, 1]
    assert chosen.activations.tolist() == [9, 5, 3]
    expected = features[:, 1, 0] / np.linalg.norm(features[:, 1, 0])
    assert chosen.features[0] == pytest.approx(expected)
    assert len(select(features, weights, 100)) == 3  # cells without weight are no landmarks


def test_a_cell_has_its_box_in_the_original_image() -> None:
    one = landmarks([[1.0]], [(2, 1)], grid=(4, 8))
    assert one.boxes_px(100, 400).tolist() == [[100, 25, 50, 25]]


def test_a_map_keeps_landmarks_in_a_byte_a_number_and_gives_them_back() -> None:
    before = drawn(np.random.default_rng(3), 75, dim=120)
    blob = pack(before)
    assert len(blob) < 75 * 120 + 75 * 13
    after = unpack(blob)
    assert after.grid == before.grid
    assert after.rows.tolist() == before.rows.tolist()
    assert after.columns.tolist() == before.columns.tolist()
    assert (after.features * before.features).sum(axis=1).min() > 0.9999
    with pytest.raises(MapError, match='expected'):
        unpack(blob[:-1])
    with pytest.raises(MapError, match='cut short'):
        unpack(b'123')


def test_thirty_candidates_take_a_fraction_of_a_plain_loops_time() -> None:
    rng = np.random.default_rng(4)
    query, candidates = drawn(rng, 75, 120), [drawn(rng, 75, 120) for _ in range(30)]

    def least_ms(run) -> float:
        times = []
        for _ in range(5):
            start = time.perf_counter()
            run()
            times.append(1000 * (time.perf_counter() - start))
        return min(times)

    batch_ms = least_ms(lambda: match_landmarks(query, candidates))
    start = time.perf_counter()
    plain_similarity(query, candidates[0])
    loop_ms = 30 * 1000 * (time.perf_counter() - start)
    assert batch_ms < loop_ms / 5, (batch_ms, loop_ms)

"""Candidates in the order of their landmarks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from samples import assignments, error_of, picture, tiny_settings

from cerfevpr_core.errors import MapError
from cerfevpr_core.landmarks.landmarks import select
from cerfevpr_core.landmarks.rerank import joint_similarity, rerank
from cerfevpr_core.place_map import Candidate
from cerfevpr_core.recognizer import PlaceRecognizer


def features(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(16, 6, 6)).astype(np.float32)


def landmarks(seed: int):
    return select(features(seed), np.ones((6, 6), np.float32), 20)


CANDIDATES = [Candidate(1, 'a', 0.6), Candidate(2, 'b', 0.5), Candidate(3, 'c', 0.4)]


def test_the_candidate_that_shares_landmarks_comes_first() -> None:
    found = rerank(landmarks(7), CANDIDATES, [landmarks(1), landmarks(7), landmarks(3)], 1.0)
    assert found[0].keyframe_id == 2
    assert found[0].landmark_similarity == pytest.approx(1.0)
    assert found[0].similarity == 0.5  # the descriptor's stays as it was
    joint = [joint_similarity(candidate, 1.0) for candidate in found]
    assert joint == sorted(joint, reverse=True)
    assert joint[0] == pytest.approx((1.0 + 0.5) / 2)


def test_a_large_weight_of_the_descriptor_leaves_its_order() -> None:
    own = [landmarks(1), landmarks(7), landmarks(3)]
    assert [c.keyframe_id for c in rerank(landmarks(7), CANDIDATES, own, 1e6)] == [1, 2, 3]


def test_keyframes_without_landmarks_leave_the_order_and_that_is_said(caplog) -> None:
    found = rerank(landmarks(7), CANDIDATES, [landmarks(7), None, landmarks(3)], 1.0)
    assert found == CANDIDATES
    assert 'not re-ranked: keyframes of the map have no landmarks' in caplog.text


@pytest.fixture
def act(weights) -> list[str]:
    """Arguments for a map with landmarks."""
    return assignments(tiny_settings(weights) | {'landmarks.selection': 'act'})


def test_a_map_keeps_landmarks_and_localize_uses_them(run, pictures, tmp_path, act) -> None:
    map_ = tmp_path / 'map'
    assert run('map', 'build', '--images', pictures, '--out', map_, *act)[0] == 0
    file = tmp_path / 'answers.json'
    assert run('localize', map_, '--images', pictures, '--json', file)[0] == 0
    for number, image in enumerate(json.loads(file.read_text())['images']):
        best, second = image['candidates'][:2]
        assert best['keyframe_id'] == number + 1
        assert best['landmark_similarity'] == pytest.approx(1, abs=0.01)
        assert best['landmark_shift'] == [0, 0]
        assert second['landmark_similarity'] < 0.8
        assert 'rerank' in image['stage_ms']


def test_a_map_without_landmarks_is_searched_by_the_descriptor_alone(small_map: Path) -> None:
    recognizer = PlaceRecognizer.load(small_map)
    answer = recognizer.recognize(picture(2))
    assert answer.candidates[0].landmark_similarity is None
    assert list(answer.stage_ms) == ['describe', 'search']


def test_another_selection_than_the_maps_is_refused_but_none_is_not(
    run, pictures, tmp_path, act
) -> None:
    map_ = tmp_path / 'map'
    run('map', 'build', '--images', pictures, '--out', map_, *act)
    text = error_of(MapError, PlaceRecognizer.load, map_, None, ('landmarks.selection=rand',))
    assert 'landmarks selected by act, landmarks.selection is rand' in text
    recognizer = PlaceRecognizer.load(map_, None, ('landmarks.selection=none',))
    assert recognizer.recognize(picture(1)).candidates[0].landmark_similarity is None


def test_a_changed_landmark_is_found_by_check_and_refused_in_use(
    run, pictures, tmp_path, act
) -> None:
    import sqlite3

    map_ = tmp_path / 'map'
    run('map', 'build', '--images', pictures, '--out', map_, *act)
    with sqlite3.connect(map_ / 'keyframes.sqlite') as connection:
        connection.execute("UPDATE local_features SET content = x'00' WHERE keyframe_id = 3")
    code, out, _ = run('map', 'check', map_)
    assert code == 1 and 'keyframe 3: its landmarks have changed' in out
    recognizer = PlaceRecognizer.load(map_)
    text = error_of(MapError, recognizer.recognize, picture(2))
    assert 'the landmarks of keyframe 3 have changed' in text


def test_more_candidates_than_are_reranked_stay_behind_them(run, pictures, tmp_path, act) -> None:
    map_ = tmp_path / 'map'
    run('map', 'build', '--images', pictures, '--out', map_, *act)
    recognizer = PlaceRecognizer.load(map_, None, ('landmarks.num_candidates=2',))
    found = recognizer.recognize(picture(0), top_k=5).candidates
    assert len(found) == 5
    assert [c.landmark_similarity is None for c in found] == [False] * 2 + [True] * 3
    assert found[0].name == '000.png'

"""Matches of keypoints: mutual, distinct, and within corresponding regions."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from verification_scenes import descriptors

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.landmarks import Landmarks, match_landmarks
from cerfevpr_core.verification import Keypoints, Regions, matched_regions
from cerfevpr_core.verification.keypoints import Kind, no_keypoints, unknown_points
from cerfevpr_core.verification.matching import match

CONFIG = VerificationConfig(region_scale=1.0)


def keypoints(positions: NDArray, rows: NDArray, kind: Kind = 'xfeat') -> Keypoints:
    return Keypoints(positions.astype(np.float32), rows, unknown_points(len(rows)), kind)


def box(x: float, y: float, width: float = 100, height: float = 100) -> NDArray[np.float32]:
    return np.array([[x, y, width, height]], np.float32)


def test_keypoints_find_themselves_in_another_order() -> None:
    rng = np.random.default_rng(0)
    rows, order = descriptors(rng, 60), rng.permutation(60)
    places = rng.uniform(0, 640, (60, 2))
    found = match(keypoints(places, rows), keypoints(places[order], rows[order]), None, CONFIG)
    assert len(found) == 60
    assert (order[found.pairs[:, 1]] == found.pairs[:, 0]).all()
    assert found.similarities == pytest.approx(1, abs=1e-5)


def test_bits_are_compared_by_hamming_distance() -> None:
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 256, (30, 32), dtype=np.uint8)
    places = rng.uniform(0, 640, (30, 2))
    changed = bits.copy()
    changed[:, 0] ^= 0b1011  # three bits of 256
    found = match(keypoints(places, bits, 'orb'), keypoints(places, changed, 'orb'), None, CONFIG)
    assert (found.pairs[:, 0] == found.pairs[:, 1]).all() and len(found) == 30
    assert found.similarities == pytest.approx(1 - 2 * 3 / 256, abs=1e-5)


def test_a_keypoint_in_a_matched_region_matches_in_the_corresponding_one_only() -> None:
    rows = descriptors(np.random.default_rng(2), 2)
    query = keypoints(np.array([[50, 50]]), rows[:1])
    # The same descriptor stands outside the corresponding region, a similar one inside.
    near = rows[:1] + 0.3 * rows[1:]
    near /= np.linalg.norm(near)
    keyframe = keypoints(np.array([[500, 400], [250, 250]]), np.concatenate([rows[:1], near]))
    regions = Regions(box(0, 0), box(200, 200))
    assert match(query, keyframe, None, CONFIG).pairs.tolist() == [[0, 0]]
    assert match(query, keyframe, regions, CONFIG).pairs.tolist() == [[0, 1]]
    off = VerificationConfig(in_regions=False)
    assert match(query, keyframe, regions, off).pairs.tolist() == [[0, 0]]


def test_a_keypoint_in_no_matched_region_matches_anywhere() -> None:
    rows = descriptors(np.random.default_rng(3), 1)
    query, keyframe = keypoints(np.array([[300, 300]]), rows), keypoints(np.array([[9, 9]]), rows)
    regions = Regions(box(0, 0), box(200, 200))
    assert match(query, keyframe, regions, CONFIG).pairs.tolist() == [[0, 0]]


def test_regions_that_do_not_correspond_do_not_match() -> None:
    rows = descriptors(np.random.default_rng(4), 1)
    query, keyframe = keypoints(np.array([[50, 50]]), rows), keypoints(np.array([[450, 50]]), rows)
    apart = Regions(
        np.concatenate([box(0, 0), box(400, 0)]), np.concatenate([box(200, 0), box(400, 0)])
    )
    assert len(match(query, keyframe, apart, CONFIG)) == 0
    # Its own region enlarged about its centre reaches the keyframe's keypoint.
    wide = VerificationConfig(region_scale=5.0)
    assert len(match(query, keyframe, apart, wide)) == 1


def test_regions_are_the_cells_of_the_landmarks_that_matched() -> None:
    rows = descriptors(np.random.default_rng(5), 3)
    cells = np.array([0, 1, 2], np.int16)
    query = Landmarks(rows, cells, cells, np.ones(3, np.float32), (4, 8))
    moved = Landmarks(rows, cells, cells + np.int16(1), np.ones(3, np.float32), (4, 8))
    found = matched_regions(match_landmarks(query, [moved])[0], query, moved, (40, 80), (80, 160))
    assert found.query_px.tolist() == [[0, 0, 10, 10], [10, 10, 10, 10], [20, 20, 10, 10]]
    assert found.keyframe_px.tolist() == [[20, 0, 20, 20], [40, 20, 20, 20], [60, 40, 20, 20]]


def test_all_equal_descriptors_match_nothing() -> None:
    rows = np.tile(descriptors(np.random.default_rng(6), 1), (40, 1))
    places = np.random.default_rng(7).uniform(0, 640, (40, 2))
    assert len(match(keypoints(places, rows), keypoints(places, rows), None, CONFIG)) == 0


def test_one_keypoint_or_none_and_another_kind_are_no_error() -> None:
    rows = descriptors(np.random.default_rng(8), 1)
    one, none = keypoints(np.array([[5, 5]]), rows), no_keypoints('xfeat')
    assert len(match(one, one, None, CONFIG)) == 1
    assert len(match(one, none, None, CONFIG)) == len(match(none, one, None, CONFIG)) == 0
    assert len(match(one, no_keypoints('orb'), None, CONFIG)) == 0

"""The picture of an answer: what stands where, in which colour, and what it says."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PilImage

from cerfevpr_core.landmarks import LandmarkMatches
from cerfevpr_core.match_picture import DECISIONS, draw_match, figures
from cerfevpr_core.place_map import Candidate
from cerfevpr_core.recognizer import Decision, Recognition
from cerfevpr_core.verification.regions import Regions

QUERY = np.full((120, 160, 3), 40, np.uint8)
BEST = Candidate(3, '000002.jpg', 0.5, traverse='day', size_px=(120, 160))
BOX = np.array([[80, 60, 40, 30]], np.float32)  # right and below the middle
MOVED = np.array([40, 40, 0, 0], np.float32)


def jpeg(gray: int, size: tuple[int, int] = (160, 120)) -> bytes:
    data = io.BytesIO()
    PilImage.new('RGB', size, (gray, gray, gray)).save(data, 'JPEG')
    return data.getvalue()


def found(*candidates: Candidate, decision: Decision = Decision.MATCH) -> Recognition:
    return Recognition(decision, [*candidates], 'map', 'model', {})


def rgb(hex_color: str) -> list[int]:
    return [int(hex_color[i : i + 2], 16) for i in (1, 3, 5)]


@pytest.mark.parametrize('decision', Decision)
def test_the_bar_has_the_colour_of_the_decision(decision):
    picture = draw_match(QUERY, found(BEST, decision=decision), jpeg(200))
    assert picture[20, picture.shape[1] // 2 - 80].tolist() == rgb(DECISIONS[decision][1])
    assert len({color for _, color in DECISIONS.values()}) == len(Decision)


def test_the_query_is_on_the_left_and_its_keyframe_on_the_right():
    picture = draw_match(QUERY, found(BEST), jpeg(200))
    assert picture.shape == (300 + 80, 810, 3) and picture.dtype == np.uint8
    assert abs(int(picture[190, 200, 0]) - 40) < 3
    assert abs(int(picture[190, 610, 0]) - 200) < 3


def test_a_keyframe_without_a_thumbnail_or_no_keyframe_at_all_is_a_grey_half():
    for answer in (found(BEST), found(decision=Decision.UNKNOWN)):
        picture = draw_match(QUERY, answer, b'')
        assert picture.shape == (380, 810, 3)
        assert np.ptp(picture[60:320, 500:780].reshape(-1, 3), axis=0).tolist() == [0, 0, 0]


def test_matched_regions_are_framed_where_they_are_in_both_images():
    matches = LandmarkMatches(
        0.5, np.array([0]), np.array([0]), np.array([0.9], 'f4'), np.array([1.0], 'f4'), None
    )
    matched = replace(BEST, regions=Regions(BOX, BOX - MOVED), landmark_matches=matches)
    plain = draw_match(QUERY, found(BEST), jpeg(200)).astype(int)
    changed = np.abs(draw_match(QUERY, found(matched), jpeg(200)) - plain).max(axis=2) > 30
    # 400 px for 160: x 80..120 is 200..300, y 60..90 is 150..225 below the bar of 40.
    assert changed[190:266, 200].mean() > 0.9 and changed[190, 200:301].mean() > 0.9
    assert changed[90:166, 410 + 100].mean() > 0.9  # x 40 in the right half
    assert not changed[200:260, 210:290].any()  # inside nothing is covered


def test_a_keyframe_of_another_shape_keeps_its_own():
    picture = draw_match(QUERY, found(replace(BEST, size_px=(160, 80))), jpeg(200, (80, 160)))
    assert abs(int(picture[190, 410 + 75, 0]) - 200) < 3
    assert picture[190, 700].tolist() == [255, 255, 255]


def test_a_strip_of_an_image_does_not_become_a_picture_of_gigabytes():
    strip = np.full((20_000, 2, 3), 40, np.uint8)
    picture = draw_match(strip, found(BEST), jpeg(200))
    assert picture.shape == (800 + 80, 810, 3)


def test_what_is_known_is_said_and_nothing_else():
    assert figures(BEST) == 'similarity 0.500'
    full = replace(BEST, probability=0.974, num_inliers=94, verified=True)
    assert figures(full) == 'probability 97 %  ·  similarity 0.500  ·  94 inliers, verified'
    assert figures(replace(BEST, num_inliers=3)).endswith('3 inliers, not verified')

"""Pictures of landmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage
from samples import assignments, tiny_settings, write_pictures

from cerfevpr_core.landmark_sheet import draw_landmarks, draw_matches
from cerfevpr_core.landmarks import match_landmarks
from cerfevpr_core.landmarks.landmarks import select

GREY = np.full((80, 120, 3), 128, np.uint8)


def test_what_is_active_is_bright_and_what_is_selected_is_framed() -> None:
    activations = np.zeros((4, 6), np.float32)
    activations[1, 4] = 1
    features = np.random.default_rng(0).normal(size=(8, 4, 6)).astype(np.float32)
    drawn = np.asarray(draw_landmarks(GREY, activations, select(features, activations, 5)))
    assert drawn.shape == GREY.shape
    assert drawn[30, 90].sum() > drawn[70, 10].sum() + 100  # the middle of the cell, and a corner
    assert drawn[21, 81].tolist() == [255, 255, 255]  # the corner of its frame


def test_lines_join_what_matched() -> None:
    features = np.random.default_rng(0).normal(size=(8, 4, 6)).astype(np.float32)
    found = select(features, np.ones((4, 6), np.float32), 24)
    (matches,) = match_landmarks(found, [found])
    drawn = np.asarray(draw_matches((GREY, GREY), (found, found), matches))
    assert drawn.shape == (80, 248, 3)
    gap = drawn[:, 121:127]  # white, but for the lines that cross it: one for each row of cells
    coloured = (gap != 255).any(axis=(1, 2))
    assert coloured[[10, 30, 50, 70]].all() and coloured.sum() <= 8


def test_the_command_says_what_two_images_share(run, weights, tmp_path: Path) -> None:
    files = sorted(write_pictures(tmp_path / 'images', [0, 1]).iterdir())
    act = assignments(tiny_settings(weights) | {'landmarks.selection': 'act'})
    out = tmp_path / 'new' / 'one.jpg'
    code, told, _ = run('landmarks', files[0], '--out', out, *act)
    assert code == 0 and PilImage.open(out).size == (128, 96)
    code, told, _ = run('landmarks', files[0], files[0], '--out', tmp_path / 'two.png', *act)
    assert code == 0 and 'moved by (0, 0) cells; similarity 1.000' in told


@pytest.mark.parametrize('selection', ['auto', 'none'])
def test_without_a_selection_the_command_says_what_to_set(
    fails, weights, tmp_path: Path, selection: str
) -> None:
    files = sorted(write_pictures(tmp_path / 'images', [0]).iterdir())
    arguments = assignments(tiny_settings(weights) | {'landmarks.selection': selection})
    text = fails('landmarks', files[0], '--out', tmp_path / 'x.jpg', *arguments)
    assert 'landmarks.selection selects none on this backbone' in text

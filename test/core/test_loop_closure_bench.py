"""The benchmark drives through a folder's images, and counts closures against a truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage
from samples import assignments, error_of, picture, tiny_settings

from cerfevpr_core.errors import ImageError
from cerfevpr_core.evaluation.loop_closure.truth import read_truth


@pytest.fixture(scope='module')
def lap(tmp_path_factory) -> Path:
    """Six places, and three of them once more."""
    folder = tmp_path_factory.mktemp('lap') / 'images'
    folder.mkdir()
    for number, place in enumerate([0, 1, 2, 3, 4, 5, 1, 2, 3]):
        noise = np.random.default_rng(number).integers(-4, 5, (240, 320, 3))
        image = np.clip(picture(place, 240, 320).astype(int) + noise, 0, 255).astype(np.uint8)
        PilImage.fromarray(image).save(folder / f'{number}.png')
    return folder


def write_truth(file: Path, pairs: list[tuple[int, int]], number: int = 9) -> Path:
    marked = np.zeros((number, number), np.uint8)
    for newer, older in pairs:
        marked[newer, older] = 255
    PilImage.fromarray(marked).save(file)
    return file


def settings_of(weights: Path) -> list[str]:
    small = {'verification.detector': 'orb', 'landmarks.selection': 'none', 'loop.min_images': 3}
    return assignments(tiny_settings(weights) | small)


def test_closures_are_counted_against_the_truth(run, lap, weights, tmp_path) -> None:
    truth = write_truth(tmp_path / 'truth.bmp', [(6, 1), (7, 2), (8, 4)])  # the last one is wrong
    file, sheet = tmp_path / 'loops.json', tmp_path / 'loops.jpg'
    arguments = ['--images', lap, '--truth', truth, '--json', file, '--sheet', sheet]
    code, told, _ = run('bench', 'loop-closure', *arguments, *settings_of(weights))
    assert code == 0 and '3 images have a true earlier match: 2 are found' in told
    content = json.loads(file.read_text())
    score = content['score']
    assert (score['num_loops'], score['num_found'], score['num_false']) == (3, 2, 1)
    assert (score['num_told'], score['num_told_false']) == (1, 0)
    closed = {row['image']: row['closure'] for row in content['images'] if row['closure']}
    assert {name: found['with'] for name, found in closed.items()} == {
        '6.png': '1.png',
        '7.png': '2.png',
        '8.png': '3.png',
    }
    assert [found['is_true'] for found in closed.values()] == [True, True, False]
    assert content['images'][6]['num_true'] == 1 and content['images'][0]['reason']
    with PilImage.open(sheet) as drawn:
        assert drawn.width > 3 * 400


def test_a_truth_of_another_drive_is_refused(tmp_path) -> None:
    file = write_truth(tmp_path / 'truth.png', [(3, 1)], number=5)
    assert read_truth(file, 5)[1, 3] and read_truth(file, 5).sum() == 2
    text = error_of(ImageError, read_truth, file, 9)
    assert '5 x 5 pixels' in text and '9 images' in text
    assert 'cannot read the truth' in error_of(ImageError, read_truth, tmp_path / 'none.png', 9)


def test_a_method_that_must_see_the_images_first_is_refused(fails, lap, weights) -> None:
    small = assignments(tiny_settings(weights, 'vlad'))
    text = fails('bench', 'loop-closure', '--images', lap, *small)
    assert 'method vlad fits its vocabulary on images' in text

"""The drawn route is a test worth its name: hard for pixels, possible for features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from cerfevpr_core.config import Config
from cerfevpr_core.data.drawn_route import DrawnRoute, write_traverse
from cerfevpr_core.evaluation.evaluate import evaluate_methods
from cerfevpr_core.evaluation.methods import NamedMethod
from cerfevpr_core.evaluation.metrics import score
from cerfevpr_core.evaluation.protocol import positives_by_frame
from cerfevpr_core.images import list_images

Traverses = tuple[list[Path], list[Path]]


@pytest.fixture(scope='module')
def summer_and_night(tmp_path_factory: pytest.TempPathFactory) -> Traverses:
    folder, route = tmp_path_factory.mktemp('route'), DrawnRoute()
    write_traverse(route, folder / 'summer', 'summer', 'centre')
    write_traverse(route, folder / 'night', 'night', 'shifted')
    return list_images(folder / 'summer'), list_images(folder / 'night')


def pixels(files: list[Path]) -> np.ndarray:
    """32 x 32 grey values of each image, zero mean, unit length."""
    rows = [np.asarray(PilImage.open(f).convert('L').resize((32, 32))).ravel() for f in files]
    centred = np.stack(rows).astype(np.float32)
    centred -= centred.mean(axis=1, keepdims=True)
    return centred / np.linalg.norm(centred, axis=1, keepdims=True)


@pytest.mark.slow
def test_at_night_and_from_the_other_lane_features_find_what_pixels_do_not(
    summer_and_night: Traverses,
) -> None:
    summer, night = summer_and_night
    assert len(summer) == len(night) >= 150
    positives = positives_by_frame([f.name for f in night], [f.name for f in summer], 2)
    vlad = evaluate_methods([NamedMethod('vlad', 'vlad')], Config(), summer, night, positives)[0]
    assert 60 <= vlad.scores.recall[1] <= 95
    similarity = pixels(night) @ pixels(summer).T
    ranked = np.argsort(-similarity, axis=1)[:, :20]
    plain = score(ranked, similarity.max(axis=1), positives.right)
    assert plain.recall[1] < 40


@pytest.mark.slow
def test_the_default_method_finds_nearly_every_image_of_the_night(
    summer_and_night: Traverses,
) -> None:
    summer, night = summer_and_night
    positives = positives_by_frame([f.name for f in night], [f.name for f in summer], 2)
    method = Config().method
    found = evaluate_methods([NamedMethod(method, method)], Config(), summer, night, positives)[0]
    assert found.name == 'cerfevpr' and found.descriptor_dim == 1024
    assert found.scores.recall[1] >= 97  # 99.4 now, one of 160 wrong
    assert found.scores.recall[5] == 100

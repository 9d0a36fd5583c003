"""Descriptors that are cut down to their principal components."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ablations import arguments, read
from samples import assignments, fitted_settings, tiny_settings

from cerfevpr_core.ablation.dimensions import Pca, fit_pca, leading
from cerfevpr_core.checkpoint import save_network
from cerfevpr_core.cli import main
from cerfevpr_core.config import load_config, model_settings
from cerfevpr_core.describer import Describer
from cerfevpr_core.images import read_image
from cerfevpr_core.model import new_model
from cerfevpr_core.trained import trained_state
from cerfevpr_core.training.validation import ranks_of, read_traverse

pytestmark = pytest.mark.usefixtures('cache')


@pytest.mark.parametrize('num_rows', [12, 60])
def test_principal_components_are_the_same_from_either_matrix(num_rows: int) -> None:
    rng = np.random.default_rng(0)
    scales = np.array([9.0, 5, 3] + [0.1] * 27)
    rows = (rng.normal(size=(num_rows, 30)) * scales + 4).astype(np.float32)
    pca = fit_pca(rows, 3)
    _, _, expected = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(pca.directions.T @ expected[:3].T), np.eye(3), atol=1e-3)
    np.testing.assert_allclose(pca.mean, rows.mean(axis=0))


def test_a_cut_descriptor_is_its_strongest_components_at_unit_length() -> None:
    pca = Pca(np.array([1, 1, 0], np.float32), np.eye(3, dtype=np.float32))
    np.testing.assert_allclose(pca.cut(np.array([[4, 5, 9]], np.float32), 2), [[0.6, 0.8]])


def test_the_command_cuts_descriptors_down(ablation_folders, weights, tmp_path, capsys) -> None:
    given = arguments(ablation_folders, 'dimensions', tmp_path / 'out')
    given += assignments(tiny_settings(weights, 'grid'))
    assert main([*given, '--sizes', '4,16,2000']) == 0
    content = read(tmp_path / 'out')
    assert [row['descriptor_dim'] for row in content['versions']] == [768, 4, 16]
    assert content['protocol']['fitted'] == "on 18 of the places' images"
    assert content['protocol']['left_out'] == {'pca_2000': 'the descriptor has 768 numbers'}
    assert '| `pca_4` | 4 |' in capsys.readouterr().out
    assert main([*given, '--sizes', '4,8']) == 0  # one more, beside those that are there
    sizes = [row['descriptor_dim'] for row in read(tmp_path / 'out')['versions']]
    assert sizes == [768, 4, 16, 8]


def test_a_vocabulary_is_fitted_on_the_places_too(ablation_folders, weights, tmp_path) -> None:
    given = arguments(ablation_folders, 'dimensions', tmp_path / 'out')
    given += assignments(tiny_settings(weights, 'vlad'))
    assert main([*given, '--sizes', '8']) == 0
    assert [row['name'] for row in read(tmp_path / 'out')['versions']] == ['whole', 'pca_8']


@pytest.fixture
def fitted_on_maps(weights, tmp_path) -> dict[str, object]:
    """Settings that use a descriptor file whose words and projection each map fits."""
    config = load_config(overrides=fitted_settings(weights))
    torch.manual_seed(0)
    file, own = tmp_path / 'one.safetensors', model_settings(config) | {'backbone.weights': ''}
    save_network(file, trained_state(new_model(config)), own)
    return fitted_settings(weights) | {'descriptor.weights': str(file)}


def test_what_maps_fit_is_fitted_on_each_traverse_and_cut_to_its_first_numbers(
    ablation_folders, fitted_on_maps, tmp_path
) -> None:
    given = arguments(ablation_folders, 'dimensions', tmp_path / 'out')
    given += assignments(fitted_on_maps)
    assert main([*given, '--sizes', '3,16']) == 0
    content = read(tmp_path / 'out')
    assert content['protocol']['fitted'] == "on each traverse's database"
    assert '- Learned from: nothing.' in (tmp_path / 'out' / 'ablation.md').read_text()
    rows = {row['name']: row for row in content['versions']}
    assert {name: row['descriptor_dim'] for name, row in rows.items()} == {
        'whole': 16,
        'first_3': 3,
    }
    assert content['protocol']['left_out'] == {'first_16': 'the descriptor has 16 numbers'}
    # As a map of that database would answer.
    config = load_config(overrides=fitted_on_maps)
    held_out = ablation_folders['held_out']
    traverse = read_traverse(held_out, config.train.validation_radius_m)
    describer = Describer(config)
    describer.fit(read_image(file) for file in traverse.database)
    queries = np.stack([describer.describe(read_image(file)) for file in traverse.queries])
    database = np.stack([describer.describe(read_image(file)) for file in traverse.database])
    expected = ranks_of(queries @ database.T, traverse.right).tolist()
    assert rows['whole']['ranks'][held_out.name] == expected


def test_first_numbers_are_brought_to_unit_length() -> None:
    np.testing.assert_allclose(leading(np.array([[3, 4, 12]], np.float32), 2), [[0.6, 0.8]])


@pytest.mark.parametrize(
    ('more', 'message'),
    [
        (['--sizes', '8,x'], 'error: --sizes 8,x: expected whole numbers from 1, as 64,128'),
        (['--sizes', '0'], 'error: --sizes 0: expected whole numbers from 1, as 64,128'),
        (['--sizes', '18'], 'error: --sizes 18: expected fewer than the 18 images that it is fit'),
    ],
)
def test_sizes_that_cannot_be_are_refused(
    ablation_folders, weights, tmp_path, capsys, more, message
):
    given = arguments(ablation_folders, 'dimensions', tmp_path / 'out')
    assert main([*given, *assignments(tiny_settings(weights, 'grid')), *more]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()

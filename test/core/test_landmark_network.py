"""The landmark network, and what selects landmarks without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from samples import error_of, write_network

from cerfevpr_core.backbone.load import adapt, create_network
from cerfevpr_core.config import BackboneConfig, LandmarksConfig
from cerfevpr_core.errors import WeightsError
from cerfevpr_core.landmarks.network import LandmarkNetwork, embed, load_landmark_network
from cerfevpr_core.landmarks.selector import LandmarkSelector


@pytest.mark.parametrize('grid', [(14, 14), (9, 16), (1, 3)])
def test_an_activation_for_each_cell_and_none_negative(grid: tuple[int, int]) -> None:
    network = LandmarkNetwork(8, (3, 5, 7), 4)
    activations = network(torch.randn(2, 8, *grid)).detach()
    assert activations.shape == (2, *grid)
    assert float(activations.min()) >= 0 and float(activations.max()) > 0


def test_an_activation_does_not_depend_on_how_strong_features_are_or_on_the_batch() -> None:
    network, patches = LandmarkNetwork(8, (3,), 4).eval(), torch.randn(3, 8, 6, 6)
    together = network(patches)
    assert torch.allclose(network(5 * patches), together, atol=1e-5)
    assert torch.allclose(network(patches[1:2]), together[1:2], atol=1e-6)


def test_the_embedding_is_the_weighted_sum_of_eq_1() -> None:
    patches = torch.tensor([[[[3.0, 0.0]], [[0.0, 2.0]]]])  # (1, 2, 1, 2): two cells along axes
    weights = torch.tensor([[[3.0, 4.0]]])
    assert embed(patches, weights)[0].tolist() == pytest.approx([0.6, 0.8])


def test_the_papers_base_is_the_third_block_of_resnet101() -> None:
    config = BackboneConfig('resnet101', image_size=(352, 352))
    base = adapt(create_network(config), config, None)
    patches = base(torch.zeros(1, 3, 352, 352)).patches
    assert patches.shape == (1, 1024, 22, 22)
    network = LandmarkNetwork(base.dim, (3, 5, 7), 16)
    assert network(patches).shape == (1, 22, 22)


def test_a_network_is_saved_with_what_it_is_made_of(tmp_path: Path) -> None:
    network = write_network(tmp_path / 'lln.safetensors', 8, 'abc')
    trained = load_landmark_network(tmp_path / 'lln.safetensors')
    patches = torch.randn(1, 8, 5, 5)
    assert torch.equal(trained.network(patches), network(patches))
    assert trained.backbone == 'abc'


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'other').write_bytes(b'no network')
    text = error_of(WeightsError, load_landmark_network, tmp_path / 'other')
    assert 'cannot be read as safetensors' in text


def test_a_network_of_another_backbone_is_refused_and_auto_without_one_selects_nothing(
    tmp_path: Path,
) -> None:
    file = tmp_path / 'lln.safetensors'
    write_network(file, 8, 'abc')
    for selection in ('lln', 'auto'):
        config = LandmarksConfig(selection=selection, weights=str(file))
        text = error_of(WeightsError, LandmarkSelector, config, 'xyz')
        assert 'knows the features of backbone abc, this is xyz' in text
    assert LandmarkSelector(LandmarksConfig(), 'xyz').selection == 'none'
    assert LandmarkSelector(LandmarksConfig(weights=str(file)), 'abc').selection == 'lln'


def test_what_each_selection_selects(tmp_path: Path) -> None:
    write_network(tmp_path / 'lln.safetensors', 8, 'abc')
    patches = np.random.default_rng(0).normal(size=(8, 5, 6)).astype(np.float32)

    def chosen(selection: str) -> set[tuple[int, int]]:
        weights = str(tmp_path / 'lln.safetensors') if selection == 'lln' else ''
        config = LandmarksConfig(selection=selection, num_landmarks=7, weights=weights)
        found = LandmarkSelector(config, 'abc').select(patches)
        assert found is not None
        return set(zip(found.rows.tolist(), found.columns.tolist(), strict=True))

    strongest = np.abs(patches).sum(axis=0)
    limit = np.sort(strongest.ravel())[-7]
    assert all(strongest[cell] >= limit for cell in chosen('act')) and len(chosen('act')) == 7
    assert len(chosen('all')) == 30
    assert chosen('rand') == chosen('rand') and len(chosen('rand')) == 7
    network = load_landmark_network(tmp_path / 'lln.safetensors').network
    activations = network(torch.from_numpy(patches)[None])[0]
    assert all(
        float(activations[cell]) >= activations.flatten().sort()[0][-7] for cell in chosen('lln')
    )
    assert LandmarkSelector(LandmarksConfig(selection='none'), '').select(patches) is None

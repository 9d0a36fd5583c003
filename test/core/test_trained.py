"""A trained descriptor's file: what is in it, and what may be asked of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from samples import TINY, assignments, write_pictures

from cerfevpr_core.checkpoint import load_network, save_network
from cerfevpr_core.cli import main
from cerfevpr_core.config import Config, load_config, model_settings
from cerfevpr_core.errors import WeightsError
from cerfevpr_core.model import CerfeVPR, load_model, new_model
from cerfevpr_core.trained import fill, trained_state


@pytest.fixture
def config(weights: Path) -> Config:
    settings = {
        'method': 'cerfevpr',
        'runtime.device': 'cpu',
        'backbone.name': TINY,
        'backbone.weights': str(weights),
        'backbone.image_size': [64, 96],
        'adapters.placement': 'none',
        'fusion.levels': [1, 2],
        'encoder.num_layers': 1,
        'encoder.num_heads': 2,
        'encoder.ffn_dim': 16,
    }
    return load_config(overrides=settings)


@pytest.fixture
def model(config: Config) -> CerfeVPR:
    torch.manual_seed(0)
    return new_model(config).eval()


def save(file: Path, model: CerfeVPR, config: Config) -> dict[str, object]:
    """The file, and the settings that use it."""
    own = model_settings(config) | {'backbone.weights': ''}
    save_network(file, trained_state(model), own)
    return {
        'method': 'cerfevpr',
        'descriptor.weights': str(file),
        'backbone.weights': config.backbone.weights,
        'runtime.device': 'cpu',
    }


def test_the_frozen_network_stays_out_and_comes_back(model, config, tmp_path: Path) -> None:
    use = save(tmp_path / 'one.safetensors', model, config)
    state = load_network(tmp_path / 'one.safetensors').state
    assert state and not any(name.startswith('backbone.') for name in state)
    config_of_file = load_config(overrides=model_settings(config) | use)
    images = torch.rand(2, 1, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(load_model(config_of_file)(images), model(images))


def test_what_was_tuned_inside_the_backbone_is_kept(model, config, tmp_path: Path) -> None:
    name, tuned = next(iter(model.backbone.network.named_parameters()))
    tuned.requires_grad_(True)
    torch.nn.init.constant_(tuned, 0.25)
    use = save(tmp_path / 'one.safetensors', model, config)
    loaded = load_model(load_config(overrides=model_settings(config) | use))
    assert torch.equal(loaded.backbone.network.get_parameter(name), tuned)


def test_a_state_that_does_not_fit_is_refused_by_name(model) -> None:
    state = trained_state(model)
    lacking = {name: value for name, value in state.items() if name != 'fusion.mix.bias'}
    with pytest.raises(
        WeightsError, match=r'a file does not fit .* lacks 1 tensors, first fusion'
    ):
        fill(model, lacking, 'a file')
    with pytest.raises(WeightsError, match='has 1 others, first other'):
        fill(model, state | {'other': torch.zeros(1)}, 'a file')
    with pytest.raises(WeightsError, match=r'fusion.mix.bias is \(3,\), expected'):
        fill(model, state | {'fusion.mix.bias': torch.zeros(3)}, 'a file')


def test_evaluate_and_maps_take_the_files_settings(model, config, tmp_path: Path, capsys) -> None:
    use = assignments(save(tmp_path / 'one.safetensors', model, config))
    images = str(write_pictures(tmp_path / 'images', range(3)))
    told = tmp_path / 'told.json'
    asked = ['--database', images, '--queries', images, '--frame-tolerance', '0']
    asked += ['--methods', 'cerfevpr,grid', '--json', str(told)]
    assert main(['evaluate', *asked, *use]) == 0
    answer = json.loads(told.read_text())
    assert answer['protocol']['image_size'] == [64, 96]
    assert answer['protocol']['backbone'] == TINY
    assert [method['recall']['1'] for method in answer['methods']] == [100, 100]
    assert main(['map', 'build', '--images', images, '--out', str(tmp_path / 'map'), *use]) == 0
    assert main(['localize', str(tmp_path / 'map'), '--images', images]) == 0


def test_a_map_of_one_descriptor_is_not_opened_with_another(
    model, config, tmp_path: Path, capsys
) -> None:
    use = assignments(save(tmp_path / 'one.safetensors', model, config))
    images = str(write_pictures(tmp_path / 'images', range(2)))
    assert main(['map', 'build', '--images', images, '--out', str(tmp_path / 'map'), *use]) == 0
    with torch.no_grad():
        model.fusion.mix.weight.add_(0.01)
    save(tmp_path / 'one.safetensors', model, config)
    assert main(['localize', str(tmp_path / 'map'), '--images', images]) == 2
    assert 'error: ' in capsys.readouterr().err

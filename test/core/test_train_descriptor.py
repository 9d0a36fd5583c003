"""The descriptor is trained, and used."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from samples import (
    assignments,
    picture,
    write_places,
    write_traverse,
)
from trainings import losses, tiny_training

from cerfevpr_core.checkpoint import load_network
from cerfevpr_core.cli import main
from cerfevpr_core.config import load_config, settings
from cerfevpr_core.describer import Describer
from cerfevpr_core.errors import ConfigError, ImageError, WeightsError
from cerfevpr_core.images import to_tensor
from cerfevpr_core.training.descriptor import train_descriptor
from cerfevpr_core.training.log import read_log
from cerfevpr_core.training.validation import read_traverse
from cerfevpr_core.training.watch import Watch


def test_training_lowers_the_loss(spots, train_config, tmp_path: Path) -> None:
    steps = train_config(
        train__epochs=24, train__num_places=6, train__augment=0.0, train__halve_every=0
    )
    train_descriptor(spots, tmp_path / 'out', steps)
    found = losses(tmp_path / 'out')
    assert len(found) == 24
    assert found[-1] < 0.9 * found[0]


def test_two_runs_give_the_same_numbers(spots, train_config, tmp_path: Path) -> None:
    for out in ('one', 'other'):
        train_descriptor(spots, tmp_path / out, train_config())
    one, other = (load_network(tmp_path / o / 'best.safetensors') for o in ('one', 'other'))
    assert all(torch.equal(other.state[name], value) for name, value in one.state.items())
    assert (other.settings, other.notes) == (one.settings, one.notes)
    train_descriptor(spots, tmp_path / 'third', train_config(train__seed=1))
    assert losses(tmp_path / 'third') != losses(tmp_path / 'one')


def test_validation_stops_early_and_keeps_the_best(spots, train_config, tmp_path: Path) -> None:
    traverse = read_traverse(write_traverse(tmp_path / 'held_out', tmp_path / 'spots'), 5.0)
    lines: list[str] = []
    still = train_config(train__learning_rate=1e-12, train__patience=2, train__epochs=9)
    progress = train_descriptor(
        spots, tmp_path / 'out', still, validation=[traverse], watch=Watch(say=lines.append)
    )
    assert (progress.epoch, progress.best_epoch) == (3, 1)
    assert lines[-1] == 'no better recall for 2 epochs (train.patience): stopped'
    best = load_network(tmp_path / 'out' / 'best.safetensors')
    assert best.notes['epochs'] == 1
    assert best.notes['recall_at_1'] == {'held_out': progress.best_recall}
    rows = [r for r in read_log(tmp_path / 'out' / 'log.csv') if 'recall_at_1' in r]
    assert [r['recall_at_1/held_out'] for r in rows] == [pytest.approx(progress.best_recall)] * 3


def test_a_corrupt_image_is_named_once_and_another_taken(
    spots, train_config, tmp_path, caplog
) -> None:
    broken = spots.places[0].files[1]
    broken.write_bytes(b'not a picture')
    train_descriptor(spots, tmp_path / 'out', train_config(train__num_places=6, train__epochs=4))
    named = [r.getMessage() for r in caplog.records if str(broken) in r.getMessage()]
    assert len(named) == 1 and named[0].startswith('left out: ')
    for file in spots.places[0].files:
        file.write_bytes(b'')
    with pytest.raises(ImageError, match='none of the 3 images of the place spot0 can be read'):
        train_descriptor(spots, tmp_path / 'again', train_config(train__num_places=6))


def test_the_rate_halves_every_so_many_epochs(spots, train_config, tmp_path: Path) -> None:
    train_descriptor(spots, tmp_path / 'out', train_config(train__epochs=4, train__halve_every=2))
    rates = {row['epoch']: row['learning_rate'] for row in read_log(tmp_path / 'out' / 'log.csv')}
    assert rates == {1: 1e-3, 2: 1e-3, 3: 5e-4, 4: 5e-4}


def test_variants_are_dropped_at_random_a_batch_at_a_time(
    spots, train_config, tmp_path: Path
) -> None:
    seen = []

    def stack(image: np.ndarray) -> torch.Tensor:
        original = to_tensor(image, (64, 64))
        return torch.stack([original * 0.5, original * 0.8, original])

    with_two = train_config(variants__conditions=['summer', 'winter'], train__steps_per_epoch=12)

    def track(steps, what, count):
        for variants, places, images in steps:
            seen.append(variants.shape[1])
            yield variants, places, images

    train_descriptor(spots, tmp_path / 'out', with_two, stack=stack, watch=Watch(track=track))
    assert set(seen) == {1, 2, 3}


def test_bfloat16_trains_too(spots, train_config, tmp_path: Path) -> None:
    train_descriptor(spots, tmp_path / 'out', train_config(train__amp='bf16', train__epochs=1))
    train_descriptor(spots, tmp_path / 'full', train_config(train__epochs=1))
    assert losses(tmp_path / 'out') == pytest.approx(losses(tmp_path / 'full'), rel=0.05)
    state = load_network(tmp_path / 'out' / 'best.safetensors').state
    assert all(v.dtype == torch.float32 for v in state.values())


def test_a_trained_file_is_the_method_cerfevpr(spots, train_config, tmp_path, weights) -> None:
    train_descriptor(spots, tmp_path / 'out', train_config(train__epochs=1))
    file = tmp_path / 'out' / 'best.safetensors'
    assert not [n for n in load_network(file).state if n.startswith('backbone.')]
    use = {
        'method': 'cerfevpr',
        'descriptor.weights': str(file),
        'backbone.weights': str(weights),
    }
    describer = Describer(load_config(overrides=use))
    assert describer.config.fusion.levels == (2,)
    descriptor = describer.describe(picture(0))
    assert descriptor.shape == (5 * 8,)
    assert np.linalg.norm(descriptor) == pytest.approx(1, abs=1e-5)
    assert settings(describer.config)['train.num_places'] == 72  # of training, not of the model
    start = train_config(
        train__epochs=1, train__learning_rate=1e-12, descriptor__weights=str(file)
    )
    train_descriptor(spots, tmp_path / 'more', start)
    use['descriptor.weights'] = str(tmp_path / 'more' / 'best.safetensors')
    again = Describer(load_config(overrides=use))
    np.testing.assert_allclose(again.describe(picture(0)), descriptor, atol=1e-5)
    train_descriptor(spots, tmp_path / 'other', train_config(train__epochs=1, train__seed=5))
    use['descriptor.weights'] = str(tmp_path / 'other' / 'best.safetensors')
    assert Describer(load_config(overrides=use)).fingerprint != describer.fingerprint


def test_settings_against_those_of_the_file_are_refused(spots, train_config, tmp_path) -> None:
    train_descriptor(spots, tmp_path / 'out', train_config(train__epochs=1))
    file = str(tmp_path / 'out' / 'best.safetensors')
    use = train_config(method='cerfevpr', descriptor__weights=file)
    with pytest.raises(
        ConfigError, match=r'otherwise: fusion.levels is \[4\], the file has \[2\]'
    ):
        Describer(replace(use, fusion=replace(use.fusion, levels=(4,))))
    with pytest.raises(WeightsError, match='no trained network at nowhere; check the path'):
        Describer(replace(use, descriptor=replace(use.descriptor, weights='nowhere')))


@pytest.mark.parametrize('library', ['pytorch_metric_learning.losses', 'lightning_fabric'])
def test_a_missing_library_says_how_to_install_it(
    spots, train_config, tmp_path, monkeypatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=r"which is not installed; `pip install '.\[train\]'`"):
        train_descriptor(spots, tmp_path / 'out', train_config())


def test_the_command_trains_and_lists(tmp_path, weights, capsys) -> None:
    spots = write_places(tmp_path / 'spots')
    held_out = write_traverse(tmp_path / 'held_out', write_places(tmp_path / 'other', 3))
    places = ['--places', str(spots), '--validation', str(held_out)]
    assert main(['train', 'places', *places, *assignments(tiny_training(weights))]) == 0
    assert capsys.readouterr().out.endswith('spot5: 3 images\n6 places, 18 images\n')
    arguments = ['train', 'descriptor', *places, '--out', str(tmp_path / 'out'), '--epochs', '1']
    assert main([*arguments, *assignments(tiny_training(weights))]) == 0
    assert '1 epochs, the best is 1 -> ' in capsys.readouterr().out
    assert main([*arguments, *assignments(tiny_training(weights))]) == 2
    assert capsys.readouterr().err.startswith('error: ')

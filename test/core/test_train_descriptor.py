"""The descriptor is trained, stopped, gone on with, and used."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from samples import assignments, picture, tiny_settings, write_places, write_traverse

from cerfevpr_core.checkpoint import load_network, load_training
from cerfevpr_core.cli import main
from cerfevpr_core.config import Config, load_config, settings
from cerfevpr_core.data.places import PlaceSet, Source, read_places
from cerfevpr_core.describer import Describer
from cerfevpr_core.errors import ConfigError, ImageError, TrainingError, WeightsError
from cerfevpr_core.images import to_tensor
from cerfevpr_core.training.descriptor import Watch, train_descriptor
from cerfevpr_core.training.log import read_log
from cerfevpr_core.training.objective import MultiSimilarity, Targets
from cerfevpr_core.training.validation import read_traverse


def tiny(weights: Path, **more: object) -> dict[str, object]:
    named = {
        'runtime.device': 'cpu',
        'backbone.image_size': [64, 64],
        'adapters.placement': 'none',
        'fusion.levels': [2],
        'encoder.num_layers': 1,
        'encoder.num_heads': 2,
        'encoder.ffn_dim': 16,
        'encoder.token_dim': 8,
        'train.num_places': 3,
        'train.images_per_place': 2,
        'train.chunk_size': 4,
        'train.epochs': 2,
        'train.learning_rate': 1e-3,
        'train.miner_margin': 1.0,
    }
    changed = {name.replace('__', '.'): value for name, value in more.items()}
    return tiny_settings(weights) | named | changed


@pytest.fixture
def spots(tmp_path: Path) -> PlaceSet:
    return read_places([Source(write_places(tmp_path / 'spots'))], Config().train)


@pytest.fixture
def config(weights: Path):
    def make(**more: object) -> Config:
        return load_config(overrides=tiny(weights, **more))

    return make


def losses(out: Path) -> list[float]:
    return [row['loss'] for row in read_log(out / 'log.csv') if 'loss' in row]


class Interrupted:
    """The usual objective, cut short like a power cut before a step."""

    def __init__(self, config: Config, before_step: int, how: BaseException | None = None) -> None:
        self.loss, self.left = MultiSimilarity(config.train), before_step
        self.how = how or KeyboardInterrupt()

    def __call__(self, descriptors: torch.Tensor, targets: Targets) -> torch.Tensor:
        self.left -= 1
        if self.left == 0:
            raise self.how
        return self.loss(descriptors, targets)


def test_training_lowers_the_loss(spots, config, tmp_path: Path) -> None:
    steps = config(train__epochs=24, train__num_places=6, train__augment=0.0, train__halve_every=0)
    train_descriptor(spots, tmp_path / 'out', steps)
    found = losses(tmp_path / 'out')
    assert len(found) == 24
    assert found[-1] < 0.9 * found[0]


def test_two_runs_give_the_same_numbers(spots, config, tmp_path: Path) -> None:
    for out in ('one', 'other'):
        train_descriptor(spots, tmp_path / out, config())
    one, other = (load_network(tmp_path / o / 'best.safetensors') for o in ('one', 'other'))
    assert all(torch.equal(other.state[name], value) for name, value in one.state.items())
    assert (other.settings, other.notes) == (one.settings, one.notes)
    train_descriptor(spots, tmp_path / 'third', config(train__seed=1))
    assert losses(tmp_path / 'third') != losses(tmp_path / 'one')


@pytest.mark.parametrize('before_step', [2, 3, 4])
def test_a_resumed_training_equals_an_uninterrupted_one(
    spots, config, tmp_path: Path, before_step: int
) -> None:
    often = config(train__checkpoint_every_s=0.0)
    train_descriptor(spots, tmp_path / 'whole', often)
    cut = Interrupted(often, before_step)
    with pytest.raises(KeyboardInterrupt):
        train_descriptor(spots, tmp_path / 'cut', often, objective=cut)
    assert len(losses(tmp_path / 'cut')) == before_step - 1
    train_descriptor(spots, tmp_path / 'cut', often, resume=True)
    assert losses(tmp_path / 'cut') == losses(tmp_path / 'whole')
    whole, gone_on = (load_training(tmp_path / o / 'last.ckpt') for o in ('whole', 'cut'))
    assert gone_on['progress'] == whole['progress']
    for name, tensor in whole['model'].items():
        assert torch.equal(gone_on['model'][name], tensor), name


def test_more_epochs_may_be_added_but_nothing_else_changed(spots, config, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    train_descriptor(spots, out, config(train__epochs=1))
    progress = train_descriptor(spots, out, config(train__epochs=2), resume=True)
    assert progress.epoch == 2
    changed = config(train__learning_rate=0.5, fusion__levels=[1])
    with pytest.raises(TrainingError, match=r'last.ckpt is of another training: ') as caught:
        train_descriptor(spots, out, changed, resume=True)
    assert 'fusion.levels is [1], the checkpoint has [2]' in str(caught.value)
    assert 'train.learning_rate is 0.5, the checkpoint has 0.001' in str(caught.value)


def test_other_places_are_another_training(spots, config, tmp_path: Path) -> None:
    train_descriptor(spots, tmp_path / 'out', config(train__epochs=1))
    fewer = PlaceSet(spots.places[1:])
    with pytest.raises(TrainingError, match='the places are 5 places, 15 images, the checkpoint'):
        train_descriptor(fewer, tmp_path / 'out', config(), resume=True)


def test_a_training_is_never_overwritten_nor_resumed_from_nothing(spots, config, tmp_path) -> None:
    with pytest.raises(TrainingError, match=r'no checkpoint at .*; leave out --resume'):
        train_descriptor(spots, tmp_path / 'out', config(), resume=True)
    train_descriptor(spots, tmp_path / 'out', config(train__epochs=1))
    with pytest.raises(TrainingError, match='holds a training; --resume goes on with it, or'):
        train_descriptor(spots, tmp_path / 'out', config())


def test_a_diverging_loss_stops_says_where_and_keeps_the_last_good(
    spots, config, tmp_path: Path
) -> None:
    often = config(train__checkpoint_every_s=0.0)
    usual, count = MultiSimilarity(often.train), iter(range(100))

    def diverging(descriptors: torch.Tensor, targets: Targets) -> torch.Tensor:
        return usual(descriptors, targets) * (float('nan') if next(count) == 2 else 1.0)

    expected = r'the loss became nan at epoch 2, step 1, after 2 good steps; the last good .*ckpt;'
    with pytest.raises(TrainingError, match=expected):
        train_descriptor(spots, tmp_path / 'out', often, objective=diverging)
    kept = load_training(tmp_path / 'out' / 'last.ckpt')
    assert kept['progress']['steps_done'] == 2
    assert all(torch.isfinite(v).all() for v in kept['model'].values())


def test_a_gradient_that_is_not_finite_stops_too(spots, config, tmp_path: Path) -> None:
    def sharp(descriptors: torch.Tensor, targets: Targets) -> torch.Tensor:
        return (descriptors - descriptors.detach()).abs().sqrt().sum()  # slope 0 / 0

    with pytest.raises(TrainingError, match=r'the gradient became .* none was saved yet; start'):
        train_descriptor(spots, tmp_path / 'out', config(), objective=sharp)


def test_validation_stops_early_and_keeps_the_best(spots, config, tmp_path: Path) -> None:
    traverse = read_traverse(write_traverse(tmp_path / 'held_out', tmp_path / 'spots'), 5.0)
    lines: list[str] = []
    still = config(train__learning_rate=1e-12, train__patience=2, train__epochs=9)
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


def test_validation_without_a_right_answer_is_refused(tmp_path: Path) -> None:
    folder = write_traverse(tmp_path / 'held_out', write_places(tmp_path / 'spots', 2))
    rows = (folder / 'positions.csv').read_text().replace('1.png,', '1.png,7').splitlines()
    (folder / 'positions.csv').write_text('\n'.join(rows))
    with pytest.raises(ConfigError, match=r'no query of .* within 5 m; check its positions'):
        read_traverse(folder, 5.0)


def test_a_corrupt_image_is_named_once_and_another_taken(spots, config, tmp_path, caplog) -> None:
    broken = spots.places[0].files[1]
    broken.write_bytes(b'not a picture')
    train_descriptor(spots, tmp_path / 'out', config(train__num_places=6, train__epochs=4))
    named = [r.getMessage() for r in caplog.records if str(broken) in r.getMessage()]
    assert len(named) == 1 and named[0].startswith('left out: ')
    for file in spots.places[0].files:
        file.write_bytes(b'')
    with pytest.raises(ImageError, match='none of the 3 images of the place spot0 can be read'):
        train_descriptor(spots, tmp_path / 'again', config(train__num_places=6))


def test_the_rate_halves_every_so_many_epochs(spots, config, tmp_path: Path) -> None:
    train_descriptor(spots, tmp_path / 'out', config(train__epochs=4, train__halve_every=2))
    rates = {row['epoch']: row['learning_rate'] for row in read_log(tmp_path / 'out' / 'log.csv')}
    assert rates == {1: 1e-3, 2: 1e-3, 3: 5e-4, 4: 5e-4}


def test_variants_are_dropped_at_random_a_batch_at_a_time(spots, config, tmp_path: Path) -> None:
    seen = []

    def stack(image: np.ndarray) -> torch.Tensor:
        original = to_tensor(image, (64, 64))
        return torch.stack([original * 0.5, original * 0.8, original])

    with_two = config(variants__conditions=['summer', 'winter'], train__steps_per_epoch=12)

    def track(steps, what, count):
        for variants, places, images in steps:
            seen.append(variants.shape[1])
            yield variants, places, images

    train_descriptor(spots, tmp_path / 'out', with_two, stack=stack, watch=Watch(track=track))
    assert set(seen) == {1, 2, 3}


def test_bfloat16_trains_too(spots, config, tmp_path: Path) -> None:
    train_descriptor(spots, tmp_path / 'out', config(train__amp='bf16', train__epochs=1))
    train_descriptor(spots, tmp_path / 'full', config(train__epochs=1))
    assert losses(tmp_path / 'out') == pytest.approx(losses(tmp_path / 'full'), rel=0.05)
    state = load_network(tmp_path / 'out' / 'best.safetensors').state
    assert all(v.dtype == torch.float32 for v in state.values())


def test_reading_in_other_processes_changes_nothing(spots, config, tmp_path: Path) -> None:
    train_descriptor(spots, tmp_path / 'one', config(train__epochs=1))
    train_descriptor(spots, tmp_path / 'two', config(train__epochs=1, train__num_workers=2))
    assert losses(tmp_path / 'one') == losses(tmp_path / 'two')


def test_a_trained_file_is_the_method_cerfevpr(spots, config, tmp_path, weights) -> None:
    train_descriptor(spots, tmp_path / 'out', config(train__epochs=1))
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
    start = config(train__epochs=1, train__learning_rate=1e-12, descriptor__weights=str(file))
    train_descriptor(spots, tmp_path / 'more', start)
    use['descriptor.weights'] = str(tmp_path / 'more' / 'best.safetensors')
    again = Describer(load_config(overrides=use))
    np.testing.assert_allclose(again.describe(picture(0)), descriptor, atol=1e-5)
    train_descriptor(spots, tmp_path / 'other', config(train__epochs=1, train__seed=5))
    use['descriptor.weights'] = str(tmp_path / 'other' / 'best.safetensors')
    assert Describer(load_config(overrides=use)).fingerprint != describer.fingerprint


def test_settings_against_those_of_the_file_are_refused(spots, config, tmp_path) -> None:
    train_descriptor(spots, tmp_path / 'out', config(train__epochs=1))
    file = str(tmp_path / 'out' / 'best.safetensors')
    use = config(method='cerfevpr', descriptor__weights=file)
    with pytest.raises(
        ConfigError, match=r'otherwise: fusion.levels is \[4\], the file has \[2\]'
    ):
        Describer(replace(use, fusion=replace(use.fusion, levels=(4,))))
    with pytest.raises(WeightsError, match='no trained network at nowhere; check the path'):
        Describer(replace(use, descriptor=replace(use.descriptor, weights='nowhere')))


@pytest.mark.parametrize('library', ['pytorch_metric_learning.losses', 'lightning_fabric'])
def test_a_missing_library_says_how_to_install_it(
    spots, config, tmp_path, monkeypatch, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=r"which is not installed; `pip install '.\[train\]'`"):
        train_descriptor(spots, tmp_path / 'out', config())


def test_the_command_trains_and_lists(tmp_path, weights, capsys) -> None:
    spots = write_places(tmp_path / 'spots')
    held_out = write_traverse(tmp_path / 'held_out', write_places(tmp_path / 'other', 3))
    places = ['--places', str(spots), '--validation', str(held_out)]
    assert main(['train', 'places', *places, *assignments(tiny(weights))]) == 0
    assert capsys.readouterr().out.endswith('spot5: 3 images\n6 places, 18 images\n')
    arguments = ['train', 'descriptor', *places, '--out', str(tmp_path / 'out'), '--epochs', '1']
    assert main([*arguments, *assignments(tiny(weights))]) == 0
    assert '1 epochs, the best is 1 -> ' in capsys.readouterr().out
    assert main([*arguments, *assignments(tiny(weights))]) == 2
    assert capsys.readouterr().err.startswith('error: ')


def run_command(arguments: list[str], out: Path, num_processes: int, launcher: list[str]) -> None:
    command = [*launcher, '-m', 'cerfevpr_core', 'train', 'descriptor', *arguments]
    process = subprocess.Popen(
        [*command, '--out', str(out), '--devices', str(num_processes)],
        env=os.environ | {'OMP_NUM_THREADS': '1'},
        start_new_session=True,
    )
    try:
        assert process.wait(timeout=120) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a launcher that hangs has children


@pytest.mark.slow
@pytest.mark.parametrize('launcher', ['fabric', 'torchrun'])
def test_two_processes_give_the_numbers_of_one(tmp_path, weights, launcher: str) -> None:
    spots = write_places(tmp_path / 'spots')
    held_out = write_traverse(tmp_path / 'held_out', write_places(tmp_path / 'other', 3))
    named = tiny(weights, train__num_places=4, train__chunk_size=3)
    arguments = ['--places', str(spots), '--validation', str(held_out), *assignments(named)]
    torchrun = ['-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2']
    how = [sys.executable, *(torchrun if launcher == 'torchrun' else [])]
    run_command(arguments, tmp_path / 'two', 2, how)
    assert main(['train', 'descriptor', *arguments, '--out', str(tmp_path / 'one')]) == 0
    one, two = (read_log(tmp_path / out / 'log.csv') for out in ('one', 'two'))
    assert len(one) == len(two) == 4
    for row, other in zip(one, two, strict=True):
        row.pop('images_per_s', 0), other.pop('images_per_s', 0)
        assert other == pytest.approx(row, rel=1e-4)
    state, other_state = (
        load_network(tmp_path / out / 'best.safetensors').state for out in ('one', 'two')
    )
    for name, tensor in state.items():
        assert (other_state[name] - tensor).abs().mean() < 1e-5, name  # of a rate of 1e-3

"""Training a pair of generators: what it writes, going on, and what can go wrong."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from samples import assignments, picture, write_pictures

from cerfevpr_core.checkpoint import load_network, load_training
from cerfevpr_core.cli import main
from cerfevpr_core.config import GanConfig, config_from_settings
from cerfevpr_core.errors import ConfigError, ImageError, TrainingError, WeightsError
from cerfevpr_core.gan.condition import load_generator
from cerfevpr_core.training.gan import UnpairedDomains, train_gan
from cerfevpr_core.training.gan_training import CHECKPOINT, rates
from cerfevpr_core.training.unpaired import Domain

CPU = torch.device('cpu')
SETTINGS = {
    'gan.num_filters': 4,
    'gan.num_blocks': 1,
    'gan.discriminator_filters': 4,
    'gan.discriminator_noise': 0.02,
    'gan.crop_px': 32,
    'gan.pool_size': 3,
    'gan.learning_rate': 0.002,
    'gan.steps': 6,
    'gan.decay_steps': 2,
    'gan.checkpoint_steps': 3,
}


def gan_config(**more: object) -> GanConfig:
    """Settings that take milliseconds a step; `steps=3` for more."""
    return config_from_settings(SETTINGS | {f'gan.{k}': v for k, v in more.items()}).gan


@pytest.fixture(scope='module')
def domains(tmp_path_factory: pytest.TempPathFactory) -> UnpairedDomains:
    """Bright pictures and dark ones, of different places."""
    root = tmp_path_factory.mktemp('domains')
    bright = write_pictures(root / 'day', range(4))
    dark = root / 'night'
    dark.mkdir()
    for seed in range(10, 13):
        PilImage.fromarray(picture(seed) // 4).save(dark / f'{seed}.png')
    return UnpairedDomains(bright, dark, ('day', 'night'))


@pytest.fixture(scope='module')
def trained(domains: UnpairedDomains, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What six steps in one go leave behind."""
    out = tmp_path_factory.mktemp('trained') / 'out'
    train_gan(domains, out, gan_config(), CPU, notes={'command': 'typed'})
    return out


def test_training_leaves_generators_checkpoint_sheets_and_losses(trained: Path) -> None:
    names = {str(f.relative_to(trained)) for f in trained.rglob('*') if f.is_file()}
    assert names == {
        'checkpoint.pt',
        'day.safetensors',
        'night.safetensors',
        'losses.csv',
        'sheets/step_000003.png',
        'sheets/step_000006.png',
    }
    rows = list(csv.DictReader((trained / 'losses.csv').open()))
    assert [row['step'] for row in rows] == ['1', '2', '3', '4', '5', '6']
    assert {'adversarial', 'cycle', 'identity', 'discriminators'} < rows[0].keys()


def test_a_generator_carries_what_made_it(trained: Path) -> None:
    saved = load_network(trained / 'night.safetensors')
    assert saved.settings['condition'] == 'night'
    assert saved.settings['gan.num_filters'] == 4
    assert saved.notes['steps'] == 6
    assert saved.notes['command'] == 'typed'
    image = torch.rand(1, 3, 40, 56)
    assert load_generator(trained / 'night.safetensors')(image).shape == image.shape


def test_going_on_gives_the_numbers_of_one_go(
    domains: UnpairedDomains, trained: Path, tmp_path: Path
) -> None:
    class Stopped(Exception):
        """As Ctrl-C would be."""

    def stop_at_5(step: int, steps: int, losses: dict[str, float]) -> None:
        if step == 5:  # past the checkpoint of step 3
            raise Stopped

    with pytest.raises(Stopped):
        train_gan(domains, tmp_path, gan_config(), CPU, progress=stop_at_5)
    assert load_training(tmp_path / CHECKPOINT)['step'] == 3
    train_gan(domains, tmp_path, gan_config(), CPU, resume=True)
    assert (tmp_path / 'losses.csv').read_text() == (trained / 'losses.csv').read_text()
    for name in domains.names:
        own, other = (load_network(f / f'{name}.safetensors').state for f in (tmp_path, trained))
        assert all(torch.equal(own[key], other[key]) for key in other)


def test_a_finished_training_can_be_made_longer(domains: UnpairedDomains, tmp_path: Path) -> None:
    train_gan(domains, tmp_path, gan_config(steps=2, decay_steps=0), CPU)
    train_gan(domains, tmp_path, gan_config(steps=4, decay_steps=0), CPU, resume=True)
    assert load_training(tmp_path / CHECKPOINT)['step'] == 4


def test_a_training_may_start_from_the_networks_of_another(
    domains: UnpairedDomains, trained: Path, tmp_path: Path
) -> None:
    other = gan_config(cycle_weight=1.0, learning_rate=1e-12, steps=1, average=0.0)
    train_gan(domains, tmp_path / 'a', other, CPU, start=trained)
    kept = load_training(trained / CHECKPOINT)['gan']
    begun = load_training(tmp_path / 'a' / CHECKPOINT)
    assert begun['step'] == 1 and begun['settings']['cycle_weight'] == 1.0
    assert torch.allclose(begun['gan']['to_n.change.weight'], kept['to_n.change.weight'])
    with pytest.raises(ConfigError, match=r'of another size: start .* with gan.num_filters=4'):
        train_gan(domains, tmp_path / 'b', gan_config(num_filters=8), CPU, start=trained)


def test_going_on_with_other_settings_is_refused_and_says_which(
    domains: UnpairedDomains, trained: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        train_gan(domains, trained, gan_config(cycle_weight=3.0, batch_size=2), CPU, resume=True)
    assert 'gan.cycle_weight is 3.0, the checkpoint has 10.0' in str(error.value)
    assert 'gan.batch_size is 2, the checkpoint has 1' in str(error.value)
    other = UnpairedDomains(domains.folder_a, domains.folder_b, ('summer', 'winter'))
    with pytest.raises(ConfigError, match=r"names is \['summer', 'winter'\], the checkpoint has"):
        train_gan(other, trained, gan_config(), CPU, resume=True)


def test_a_folder_that_holds_a_training_is_not_overwritten(
    domains: UnpairedDomains, trained: Path
) -> None:
    with pytest.raises(ConfigError, match='holds a training; go on with --resume'):
        train_gan(domains, trained, gan_config(), CPU)


def test_going_on_from_nothing_or_from_a_damaged_file_is_an_error(
    domains: UnpairedDomains, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match='no checkpoint at'):
        train_gan(domains, tmp_path, gan_config(), CPU, resume=True)
    (tmp_path / CHECKPOINT).write_bytes(b'not a checkpoint')
    with pytest.raises(WeightsError, match='cannot be read as a checkpoint'):
        train_gan(domains, tmp_path, gan_config(), CPU, resume=True)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    domains: UnpairedDomains, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_gan(domains, tmp_path, gan_config(steps=3), CPU)
    before = (tmp_path / CHECKPOINT).read_bytes()
    diverging = gan_config(steps=9)
    nan = torch.tensor(float('nan'), requires_grad=True)
    monkeypatch.setattr('cerfevpr_core.gan.cycle_gan.cycle_loss', lambda *_: nan)
    with pytest.raises(TrainingError, match='stopped at step 4: the cycle loss is not a finite'):
        train_gan(domains, tmp_path, diverging, CPU, resume=True)
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_weights_that_are_not_finite_are_never_saved(
    domains: UnpairedDomains, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match=r'(loss|weight) is not a finite number'):
        train_gan(domains, tmp_path, gan_config(learning_rate=1e38, steps=3), CPU)
    assert not (tmp_path / CHECKPOINT).exists()


def test_corrupt_files_are_left_out_and_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_pictures(tmp_path / 'images', range(3))
    (folder / 'broken.jpg').write_bytes(b'no image')
    domain = Domain(folder, 32)
    with caplog.at_level(logging.WARNING):
        batch = domain.batch(40, np.random.default_rng(0))
    assert batch.shape == (40, 3, 32, 32)
    assert len([r for r in caplog.records if 'broken.jpg' in r.getMessage()]) == 1


def test_a_corrupt_file_does_not_change_what_is_drawn_later(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / 'images', range(3))
    (folder / 'broken.jpg').write_bytes(b'no image')
    known, fresh = Domain(folder, 32), Domain(folder, 32)
    known.batch(20, np.random.default_rng(0))
    assert torch.equal(
        known.batch(9, np.random.default_rng(7)), fresh.batch(9, np.random.default_rng(7))
    )


def test_a_domain_without_a_readable_image_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match='no folder'):
        Domain(tmp_path / 'missing', 32)
    empty = tmp_path / 'empty'
    empty.mkdir()
    with pytest.raises(ImageError, match='holds no images'):
        Domain(empty, 32)
    (empty / 'broken.png').write_bytes(b'no image')
    with pytest.raises(ImageError, match=r'none of the 1 images in .* can be read'):
        Domain(empty, 32).batch(1, np.random.default_rng(0))


def test_crops_fill_the_square_whatever_the_image(tmp_path: Path) -> None:
    folder = tmp_path / 'images'
    folder.mkdir()
    for i, (height, width) in enumerate([(20, 90), (300, 40), (1, 7)]):
        PilImage.fromarray(picture(i, height, width)).save(folder / f'{i}.png')
    batch = Domain(folder, 48).batch(12, np.random.default_rng(0))
    assert batch.shape == (12, 3, 48, 48)
    assert batch.min() >= 0 and batch.max() <= 1


def test_learning_rates_warm_up_stay_and_go_down_evenly() -> None:
    config = gan_config(steps=10, decay_steps=4, warmup_steps=2, learning_rate=1.0)
    of_generators = [round(rates(step, config)[0], 3) for step in range(1, 11)]
    assert of_generators == [0.333, 0.667, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
    assert rates(1, config)[1] == config.discriminator_learning_rate


def test_the_command_trains_resumes_and_translates(
    domains: UnpairedDomains,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('CERFEVPR_CACHE', str(tmp_path / 'cache'))
    out = tmp_path / 'out'
    command = ['train', 'gan', '--domain-a', str(domains.folder_a), '--domain-b']
    command += [str(domains.folder_b), '--names', 'day,night', '--out', str(out)]
    command += assignments(SETTINGS)
    assert main([*command, '--steps', '3']) == 0
    assert main([*command, '--steps', '3']) == 2
    assert 'go on with --resume' in capsys.readouterr().err
    assert main([*command, '--steps', '4', '--resume']) == 0
    picture_file = tmp_path / 'variants.png'
    image = str(domains.folder_a / '000.png')
    shown = ['variants', image, '--out', str(picture_file)]
    assert main([*shown, '--set', f'variants.generators={out}']) == 0
    assert 'day, night and the original' in capsys.readouterr().out
    assert PilImage.open(picture_file).width == 3 * 128 + 2 * 4


@pytest.mark.parametrize('names', ['day', 'day,day', 'a,b,c', 'day,../x', ','])
def test_names_that_cannot_be_files_are_refused(
    names: str, domains: UnpairedDomains, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ['--domain-a', str(domains.folder_a), '--domain-b', str(domains.folder_b)]
    assert main(['train', 'gan', *folders, '--names', names, '--out', str(tmp_path / 'o')]) == 2
    assert 'expected two different words' in capsys.readouterr().err

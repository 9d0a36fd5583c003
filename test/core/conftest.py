"""Shared by the tests of the core: a small model and map, commands, and the real images."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# The tests' networks are small: on a busy machine their threads would wait for one another.
os.environ.setdefault('OMP_NUM_THREADS', '1')

import pytest
import torch
from ablations import VIT, tiny_ablation
from samples import (
    assignments,
    dotted,
    fitted_settings,
    picture,
    tiny_config,
    tiny_settings,
    write_generator,
    write_pictures,
    write_places,
    write_tiny_weights,
    write_traverse,
)
from trainings import tiny_training

from cerfevpr_core.checkpoint import save_network
from cerfevpr_core.cli import main
from cerfevpr_core.config import Config, load_config, model_settings
from cerfevpr_core.data.frames import FolderFrames
from cerfevpr_core.data.places import PlaceSet, Source, read_places
from cerfevpr_core.describer import Describer
from cerfevpr_core.mapping import build_map
from cerfevpr_core.model import new_model
from cerfevpr_core.trained import trained_state
from cerfevpr_core.universal import descriptor_hash

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='session')
def weights(tmp_path_factory) -> Path:
    """Weights of a tiny network."""
    return write_tiny_weights(tmp_path_factory.mktemp('weights') / 'tiny.safetensors')


@pytest.fixture(scope='session')
def vit_weights(tmp_path_factory) -> Path:
    """Weights of a small plain ViT, which takes adapters."""
    return write_tiny_weights(tmp_path_factory.mktemp('vit') / 'vit.safetensors', name=VIT)


@pytest.fixture(scope='session')
def pictures(tmp_path_factory) -> Path:
    """A folder of eight pictures, 000.png to 007.png."""
    return write_pictures(tmp_path_factory.mktemp('images') / 'day', range(8))


@pytest.fixture(scope='session')
def built_map(tmp_path_factory, pictures, weights) -> Path:
    """A map of the eight pictures. Nobody writes to it: `small_map` is a copy."""
    folder = tmp_path_factory.mktemp('maps') / 'map'
    build_map(FolderFrames(pictures), folder, tiny_config(weights))
    return folder


@pytest.fixture
def small_map(built_map, tmp_path) -> Path:
    """A map of eight pictures to do with as one likes."""
    return Path(shutil.copytree(built_map, tmp_path / 'small_map'))


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache folder of the test's own; it does not exist yet."""
    monkeypatch.setenv('CERFEVPR_CACHE', str(tmp_path / 'cache'))
    return tmp_path / 'cache'


@pytest.fixture
def offline(monkeypatch, cache) -> None:
    """An empty cache, and no network."""

    def no_network(*_: object, **__: object) -> None:
        raise OSError('no network in this test')

    monkeypatch.setattr('urllib.request.urlopen', no_network)
    monkeypatch.setenv('HF_HUB_CACHE', str(cache.parent / 'hub'))


@pytest.fixture
def run(capsys):
    """Run a command; its exit code, standard output and standard error."""

    def _run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        return code, *capsys.readouterr()

    return _run


@pytest.fixture
def fails(run):
    """Run a command that meets a user's error; its one message."""

    def _fails(*arguments: object) -> str:
        code, _, err = run(*arguments)
        assert code == 2
        *before, last = err.strip().splitlines()
        start = max(i for i, line in enumerate([*before, last]) if line.startswith('error: '))
        assert 'Traceback' not in err
        return ' '.join([*before, last][start:]).removeprefix('error: ')

    return _fails


@pytest.fixture
def tiny(weights) -> list[str]:
    """--set arguments of a model that describes in milliseconds."""
    return assignments(tiny_settings(weights))


@pytest.fixture
def trained(weights, tmp_path):
    """Settings of a tiny descriptor that is fitted on maps; `trained(a__b=c)` for more."""
    made = load_config(overrides=fitted_settings(weights))
    file = tmp_path / 'trained.safetensors'
    torch.manual_seed(0)
    save_network(file, trained_state(new_model(made)), model_settings(made))

    def settings(**more: object) -> Config:
        named = {'descriptor.weights': str(file)} | dotted(more)
        return load_config(overrides=fitted_settings(weights) | named)

    return settings


@pytest.fixture
def universal(trained, tmp_path):
    """A fit for that descriptor, on other pictures than the tests'."""
    describer = Describer(trained())
    describer.fit(picture(seed) for seed in range(100, 130))
    kept = {n: torch.from_numpy(describer.fitted()[n]) for n in ('narrow', 'words')}
    file = tmp_path / 'universal.safetensors'
    save_network(file, kept, {}, {'descriptor': descriptor_hash(trained())})
    return trained(descriptor__universal=str(file))


@pytest.fixture
def generators(tmp_path) -> str:
    """A folder with two generators: night darkens, snow brightens."""
    folder = tmp_path / 'generators'
    for name, offset in (('night', -2.0), ('snow', 2.0)):
        write_generator(folder / f'{name}.safetensors', offset)
    return str(folder)


@pytest.fixture
def spots(tmp_path) -> PlaceSet:
    """Six places to learn from."""
    return read_places([Source(write_places(tmp_path / 'spots'))], Config().train)


@pytest.fixture
def train_config(weights):
    """Makes settings of a short training; `train_config(train__seed=3)` for more."""

    def make(**more: object) -> Config:
        return load_config(overrides=tiny_training(weights, **more))

    return make


@pytest.fixture
def ablation_config(weights, generators) -> Config:
    """Settings in which every version differs from every other."""
    with_night = {'variants__conditions': ['night'], 'variants__generators': generators}
    return load_config(overrides=tiny_ablation(weights, **with_night))


@pytest.fixture
def ablation_folders(tmp_path) -> dict[str, Path]:
    """Places to learn from and a traverse of others to measure on."""
    spots = write_places(tmp_path / 'spots')
    others = write_places(tmp_path / 'others', 10)
    for folder in sorted(others.iterdir())[:6]:  # not the places that are learned from
        shutil.rmtree(folder)
    return {'places': spots, 'held_out': write_traverse(tmp_path / 'held_out', others)}


@pytest.fixture(scope='session')
def data() -> Path:
    """Real images beside the repository, or where CERFEVPR_DATA says."""
    folder = Path(os.environ.get('CERFEVPR_DATA') or ROOT.parent / 'shared' / 'data')
    if not folder.is_dir():
        pytest.skip(f'no real images at {folder}; set CERFEVPR_DATA')
    return folder

"""Shared by the tests of the core: a small model and map, commands, and the real images."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# The tests' networks are small: on a busy machine their threads would wait for one another.
os.environ.setdefault('OMP_NUM_THREADS', '1')

import pytest
from samples import (
    assignments,
    tiny_config,
    tiny_settings,
    write_pictures,
    write_tiny_weights,
)

from cerfevpr_core.cli import main
from cerfevpr_core.data.frames import FolderFrames
from cerfevpr_core.mapping import build_map

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='session')
def weights(tmp_path_factory) -> Path:
    """Weights of a tiny network."""
    return write_tiny_weights(tmp_path_factory.mktemp('weights') / 'tiny.safetensors')


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


@pytest.fixture(scope='session')
def data() -> Path:
    """Real images beside the repository, or where CERFEVPR_DATA says."""
    folder = Path(os.environ.get('CERFEVPR_DATA') or ROOT.parent / 'shared' / 'data')
    if not folder.is_dir():
        pytest.skip(f'no real images at {folder}; set CERFEVPR_DATA')
    return folder

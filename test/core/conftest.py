"""Shared by the tests of the core: one small model, one small map, and the real images."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

# The tests' networks are small: on a busy machine their threads would wait for one another.
os.environ.setdefault('OMP_NUM_THREADS', '1')

import pytest
from samples import tiny_config, write_pictures, write_tiny_weights

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


@pytest.fixture(scope='session')
def data() -> Path:
    """Real images beside the repository, or where CERFEVPR_DATA says."""
    folder = Path(os.environ.get('CERFEVPR_DATA') or ROOT.parent / 'shared' / 'data')
    if not folder.is_dir():
        pytest.skip(f'no real images at {folder}; set CERFEVPR_DATA')
    return folder

"""RTAB-Map's descriptor script: called from Python, and from C++ as RTAB-Map calls it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from samples import picture

from cerfevpr_core.errors import ConfigError, ImageError
from cerfevpr_core.hooks.rtabmap import SCRIPT, describer_for, require_dim, rgb_of
from cerfevpr_core.recognizer import PlaceRecognizer

SOURCE = Path(__file__).parent / 'hooks_cpp' / 'embed.cpp'
HEADERS = Path(sysconfig.get_path('include')) / 'Python.h'


def bgr_bytes(rgb: np.ndarray) -> np.ndarray:
    """As RTAB-Map hands an image on: BGR, as signed bytes."""
    return np.ascontiguousarray(rgb[..., ::-1]).view(np.int8)


@pytest.fixture
def script(monkeypatch, built_map):
    """The script, freshly loaded, with a small map's model."""
    monkeypatch.setenv('CERFEVPR_MAP', str(built_map))
    return loaded()


def loaded():
    spec = importlib.util.spec_from_file_location('cerfevpr_rtabmap', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def dim(built_map) -> int:
    return describer_for(str(built_map)).descriptor_dim


def test_a_descriptor_is_one_float_row_of_unit_length(script, dim):
    assert script.init(dim) is None
    for shape in ((96, 128), (33, 200)):
        found = script.extract(bgr_bytes(picture(1, *shape)))
        assert found.shape == (1, dim)
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_it_is_the_descriptor_that_the_map_would_be_searched_with(script, dim, built_map):
    script.init(dim)
    recognizer = PlaceRecognizer.load(built_map)
    expected = recognizer.describe(picture(3)).descriptor
    recognizer.close()
    assert script.extract(bgr_bytes(picture(3)))[0] == pytest.approx(expected, abs=1e-6)


def test_without_a_map_the_shipped_fit_for_any_place_is_used(monkeypatch):
    monkeypatch.delenv('CERFEVPR_MAP', raising=False)
    describer, script = describer_for(''), loaded()
    script.init(describer.descriptor_dim)
    found = script.extract(bgr_bytes(picture(2)))
    assert found.shape == (1, describer.descriptor_dim)
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


def test_bgr_bgra_and_grey_bytes_become_rgb():
    rgb = picture(5)
    alpha = np.full((*rgb.shape[:2], 1), 9, np.uint8)
    bgra = np.concatenate([rgb[..., ::-1], alpha], axis=2).view(np.int8)
    grey = rgb[..., :1].copy().view(np.int8)
    assert (rgb_of(bgr_bytes(rgb)) == rgb).all()
    assert (rgb_of(bgra) == rgb).all()
    for each in (grey, grey[..., 0]):
        assert (rgb_of(each) == rgb[..., :1]).all()
        assert rgb_of(each).shape == rgb.shape
        assert rgb_of(each).dtype == np.uint8


def test_the_image_that_is_kept_is_a_copy():
    memory = bgr_bytes(picture(5)).copy()
    kept = rgb_of(memory)
    before = kept.copy()
    memory[:] = 0
    assert (kept == before).all()


@pytest.mark.parametrize(
    'image', [np.zeros((4, 4, 2), np.int8), np.zeros((4, 4, 3), np.float32), np.zeros(4, np.int8)]
)
def test_what_is_no_image_is_refused(image):
    with pytest.raises(ImageError, match='RTAB-Map gave an image of shape'):
        rgb_of(image)


def test_another_size_is_told_and_what_to_set(script, dim, built_map, caplog):
    with pytest.raises(ConfigError, match=rf'is 4096.*set PyDescriptor/Dim to {dim}'):
        require_dim(describer_for(str(built_map)), 4096)
    assert script.init(4096) is None  # RTAB-Map crashes if it raises
    assert 'PyDescriptor/Dim is 4096' in caplog.text
    with pytest.raises(RuntimeError, match='PyDescriptor/Dim is 4096'):
        script.extract(bgr_bytes(picture(1)))


def test_a_map_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setenv('CERFEVPR_MAP', '/nowhere/at/all')
    script = loaded()
    script.init(1024)
    with pytest.raises(RuntimeError, match='/nowhere/at/all'):
        script.extract(bgr_bytes(picture(1)))


def test_before_init_there_is_no_descriptor():
    with pytest.raises(RuntimeError, match='init was not called'):
        loaded().extract(bgr_bytes(picture(1)))


def test_the_command_prints_the_parameters(run, built_map, dim):
    code, out, _ = run('hooks', 'rtabmap', '--map', built_map)
    assert code == 0
    assert dict(line.split(' ', 1) for line in out.splitlines()) == {
        '--Mem/GlobalDescriptorStrategy': '1',
        '--Kp/TfIdfLikelihoodUsed': 'false',
        '--Mem/RehearsalSimilarity': '1',
        '--PyDescriptor/Path': str(SCRIPT),
        '--PyDescriptor/Dim': str(dim),
    }


@pytest.fixture(scope='module')
def embedded(tmp_path_factory) -> Path:
    """A program that embeds Python and calls the script by the C API, as RTAB-Map does."""
    if shutil.which('g++') is None or not HEADERS.is_file():
        pytest.skip(f'needs g++ and {HEADERS}')
    library = Path(sysconfig.get_config_var('LIBDIR')) / sysconfig.get_config_var('LDLIBRARY')
    if not library.is_file():
        pytest.skip(f'needs {library}')
    program = tmp_path_factory.mktemp('embedded') / 'embed'
    command = ['g++', '-std=c++17', '-O1', '-pthread', SOURCE, '-o', program]
    command += [f'-I{HEADERS.parent}', f'-I{np.get_include()}', '-rdynamic', library]
    command += [f'-Wl,-rpath,{library.parent}']
    linked = f'{sysconfig.get_config_var("LIBS")} {sysconfig.get_config_var("SYSLIBS")}'
    command += [name for name in linked.split() if name.startswith('-l')]
    subprocess.run([*map(str, command)], check=True)
    return program


def call(program: Path, map_folder: Path, dim: int, channels: int) -> tuple[int, str, str]:
    packages = [p for p in sys.path if p.endswith('site-packages')]
    environment = os.environ | {
        'CERFEVPR_MAP': str(map_folder),
        'PYTHONHOME': sys.base_prefix,
        'PYTHONPATH': os.pathsep.join(packages),  # of numpy and torch; not of cerfevpr itself
    }
    values = [str(v) for v in picture(4, 8, 8).reshape(-1, 3)[:50, ::-1].ravel()]
    command = [program, SCRIPT, dim, channels, 64, 48, *values]
    done = subprocess.run(
        [*map(str, command)], env=environment, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize('channels', [3, 1])
def test_cpp_gets_a_float_row_from_its_own_memory(embedded, built_map, dim, channels, script):
    code, out, err = call(embedded, built_map, dim, channels)
    assert code == 0, err
    shape, length = out.splitlines()[0].split(', ')[:2]
    assert (shape, length) == (f'1 x {dim}', 'length 1.00000')
    assert out.splitlines()[1] == 'image untouched'
    # The same bytes through Python: the first number is the same.
    flat = np.resize(picture(4, 8, 8).reshape(-1, 3)[:50, ::-1].ravel(), 48 * 64 * channels)
    script.init(dim)
    expected = script.extract(flat.reshape(48, 64, channels).view(np.int8))[0, 0]
    assert float(out.splitlines()[0].split('first ')[1]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_cpp_is_told_of_a_wrong_size_without_a_crash(embedded, built_map):
    code, out, err = call(embedded, built_map, 4096, 3)
    assert code == 3
    assert out.strip() == 'extract raised'
    assert err.count('PyDescriptor/Dim is 4096') >= 2  # at init, and with each image

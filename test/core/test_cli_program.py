"""The program as a whole: how it ends, is interrupted and is called wrongly."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image as PilImage
from samples import picture

from cerfevpr_core.cli import main
from cerfevpr_core.map_changes.whole import partial_of

pytestmark = pytest.mark.usefixtures('cache')

ROOT = Path(__file__).resolve().parents[2]


def test_what_cannot_be_parsed_shows_how_it_is_used(capsys):
    for arguments in ([], ['nonsense'], ['localize'], ['map', 'build', '--images', 'a']):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
        assert capsys.readouterr().err.startswith('usage: cerfevpr')


def test_an_error_of_ours_is_not_hidden(monkeypatch, small_map):
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr('cerfevpr_core.cli.maps.KeyframeStore.open', broken)
    with pytest.raises(ZeroDivisionError):
        main(['map', 'info', str(small_map)])


def program(*arguments: object, **more) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, '-m', 'cerfevpr_core', *map(str, arguments)],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **more,
    )


@pytest.mark.slow
def test_an_error_of_the_program_is_one_line_and_exit_code_2(tmp_path):
    process = program('map', 'info', tmp_path / 'gone', stdout=subprocess.PIPE)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert out == '' and err.startswith('error: no map at ') and err.count('\n') == 1


@pytest.mark.slow
def test_a_build_that_is_interrupted_exits_with_130_and_leaves_nothing(tiny, tmp_path):
    folder = tmp_path / 'images'
    folder.mkdir()
    large = PilImage.fromarray(picture(0, 1200, 1600))
    large.save(folder / '000.png')
    for number in range(1, 400):
        os.link(folder / '000.png', folder / f'{number:03}.png')
    out = tmp_path / 'map'
    process = program('map', 'build', '--images', folder, '--out', out, *tiny)
    deadline = time.monotonic() + 60
    while not partial_of(tmp_path / 'map').exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert err.strip().endswith('interrupted') and 'Traceback' not in err
    assert [f.name for f in tmp_path.iterdir()] == ['images']


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(small_map):
    reader, writer = os.pipe()
    os.close(reader)
    process = program('map', 'info', small_map, stdout=writer)
    os.close(writer)
    err = process.communicate(timeout=120)[1]
    assert (process.returncode, err) == (128 + signal.SIGPIPE, '')


def test_the_program_is_installed_under_its_name():
    program = shutil.which('cerfevpr', path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip('not installed beside this Python')
    assert os.access(program, os.X_OK)

"""A map where nobody may write."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from maps import refused
from samples import keyframes, random_map, unit_vectors

from cerfevpr_core.place_map import PlaceMap


@contextmanager
def as_nobody():
    """Without root's right to write anywhere."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def read_only():
    """Makes a copy of a map that cannot be written, outside of pytest's private folders."""
    folder = Path(tempfile.mkdtemp())
    copies = []

    def _read_only(source: Path) -> Path:
        copy = Path(shutil.copytree(source, folder / 'map'))
        copies.append(copy)
        for file in copy.iterdir():
            file.chmod(0o444)
        copy.chmod(0o555)
        return copy

    folder.chmod(0o755)
    yield _read_only
    for copy in copies:
        copy.chmod(0o755)
    shutil.rmtree(folder)


def test_a_map_in_a_read_only_folder_opens_and_stays_as_it_is(tmp_path, read_only, caplog):
    vectors = random_map(tmp_path / 'map', 10)
    folder = read_only(tmp_path / 'map')
    before = {f.name: f.read_bytes() for f in folder.iterdir()}
    with as_nobody(), PlaceMap.open(folder) as place_map:
        assert place_map.search(vectors[3], 1)[0].keyframe_id == 4
        assert place_map.check() == []
        text = refused(place_map.add, keyframes(unit_vectors(1)))
        assert 'cannot be used: attempt to write a readonly database' in text
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == before
    assert caplog.messages == []


def test_a_read_only_map_without_an_index_warns_that_it_is_not_saved(tmp_path, read_only, caplog):
    vectors = random_map(tmp_path / 'map', 10)
    (tmp_path / 'map' / 'index.faiss').unlink()
    folder = read_only(tmp_path / 'map')
    with as_nobody(), PlaceMap.open(folder) as place_map:
        assert place_map.search(vectors[3], 1)[0].keyframe_id == 4
    assert any(m.startswith('the index is not saved') for m in caplog.messages)


def test_a_read_only_map_with_an_unfinished_log_is_not_read_without_it(tmp_path, read_only):
    random_map(tmp_path / 'map', 3)
    place_map = PlaceMap.open(tmp_path / 'map')
    place_map.add(keyframes(unit_vectors(1)))
    folder = read_only(tmp_path / 'map')  # as after a kill
    place_map.close()
    with as_nobody():
        text = refused(PlaceMap.open, folder)
    assert 'was not closed and its folder cannot be written' in text
    assert '`cerfevpr map info`' in text

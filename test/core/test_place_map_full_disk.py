"""A disk that is full: nothing half-written, and a map that is used on afterwards."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from maps import answers, created, refused
from samples import keyframes, unit_vectors

from cerfevpr_core.geometry import Pose
from cerfevpr_core.map_changes.merge import merge_maps
from cerfevpr_core.place_map import PlaceMap

BATCH = keyframes(unit_vectors(20, seed=3), thumbnail=os.urandom(100_000))
TURNED = Pose((1.0, 2.0, 3.0), (0.0, 0.0, 1.0, 0.0))


@contextmanager
def files_no_larger_than(num_bytes: int):
    """Every write beyond it fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 3 MB; only root may mount one."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    command = ['mount', '-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', str(folder)]
    if shutil.which('mount') is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip('no file system can be mounted here')
    yield folder
    subprocess.run(['umount', '-l', str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all that is left of a disk."""
    rest = folder / 'rest'
    with rest.open('wb', buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    return rest


def test_an_addition_to_a_full_disk_adds_nothing_and_later_works(small_disk, caplog):
    with created(small_disk / 'map') as place_map:
        place_map.add(keyframes(unit_vectors(5)))
        before = answers(place_map)
        rest = fill(small_disk)
        for _ in range(3):
            text = refused(place_map.add, BATCH)
            assert 'full; nothing changed' in text and 'free some space' in text
            assert len(place_map) == 5 and answers(place_map) == before
        rest.unlink()
        assert place_map.add(BATCH[:5]) == [6, 7, 8, 9, 10]
        assert place_map.check() == []
    with PlaceMap.open(small_disk / 'map') as place_map:
        assert len(place_map) == 10 and place_map.check() == []


def test_a_map_that_is_closed_on_a_full_disk_opens_with_all_that_was_acknowledged(
    small_disk, caplog
):
    place_map = created(small_disk / 'map')
    place_map.add(keyframes(unit_vectors(8)))
    before = answers(place_map)
    rest = fill(small_disk)
    with caplog.at_level(logging.WARNING):
        place_map.close()
    assert 'the index is not saved' in caplog.text
    assert not list((small_disk / 'map').glob('*.new'))
    with PlaceMap.open(small_disk / 'map') as place_map:  # reading needs no room
        assert answers(place_map) == before
    rest.unlink()
    with PlaceMap.open(small_disk / 'map') as place_map:
        assert answers(place_map) == before and place_map.check() == []


def test_a_disk_that_fills_up_addition_by_addition_keeps_each_whole(small_disk):
    added = 0
    with created(small_disk / 'map') as place_map:
        for _ in range(100):
            try:
                added += len(place_map.add(BATCH[:3]))
            except Exception as error:
                assert 'nothing changed' in str(error)
                break
        assert 0 < added == len(place_map) < 300
    with PlaceMap.open(small_disk / 'map') as place_map:
        assert added == len(place_map) and place_map.check() == []


@pytest.mark.parametrize(
    'change',
    [
        lambda m: m.add(BATCH),
        lambda m: m.remove([1, 2]),
        lambda m: m.update_poses([1, 2], [TURNED] * 2),
        lambda m: m.set_calibration(b'later'),
    ],
)
def test_a_change_that_cannot_be_written_is_refused_whole(tmp_path, change):
    with created(tmp_path / 'map') as place_map:
        place_map.add(keyframes(unit_vectors(300), thumbnail=os.urandom(500)))
        place_map.set_calibration(b'before')
    with PlaceMap.open(tmp_path / 'map') as place_map:
        before = answers(place_map)
        with files_no_larger_than(4096):
            assert 'nothing changed' in refused(change, place_map)
        assert answers(place_map) == before and len(place_map) == 300
        assert all(c.pose is None for c in place_map.store.everything())
        assert place_map.calibration() == b'before' and place_map.check() == []
        change(place_map)
        assert place_map.check() == []


def test_copies_and_merged_maps_that_find_no_room_leave_nothing(tmp_path):
    for name in ('a', 'b'):
        with created(tmp_path / name) as place_map:
            place_map.add(keyframes(unit_vectors(30), thumbnail=os.urandom(5000)))
    with PlaceMap.open(tmp_path / 'a') as place_map:
        with files_no_larger_than(40_000):
            assert 'no copy of the map' in refused(place_map.save, tmp_path / 'copy')
            sources = [tmp_path / 'a', tmp_path / 'b']
            refused(merge_maps, sources, tmp_path / 'c')
        with files_no_larger_than(8_000):
            assert 'no map can be written' in refused(created, tmp_path / 'd')
        assert place_map.check() == []
    files = sorted(str(f.relative_to(tmp_path)) for f in tmp_path.rglob('*') if f.is_file())
    assert [f for f in files if not f.startswith(('a/', 'b/'))] == []

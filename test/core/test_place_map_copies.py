"""A copy of a map is a map of its own."""

from __future__ import annotations

import shutil
import threading

from maps import answers, created, refused
from samples import keyframes, unit_vectors

from cerfevpr_core.place_map import PlaceMap


def test_a_copy_is_a_map_of_its_own_with_the_same_answers(tmp_path):
    with created(tmp_path / 'map') as place_map:
        place_map.add(keyframes(unit_vectors(20)))
        before = answers(place_map)
        place_map.save(tmp_path / 'deep' / 'copy')
        place_map.add(keyframes(unit_vectors(5, seed=3)))
        text = refused(place_map.save, tmp_path / 'deep' / 'copy')
        assert 'there is a map at' in text and 'choose another place' in text
    shutil.rmtree(tmp_path / 'map')
    with PlaceMap.open(tmp_path / 'deep' / 'copy') as copy:
        assert len(copy) == 20 and answers(copy) == before and copy.check() == []
    assert not list((tmp_path / 'deep' / 'copy').glob('*.new'))


def test_a_copy_can_be_made_while_others_add(tmp_path):
    with created(tmp_path / 'map') as place_map:
        stop = threading.Event()

        def add() -> None:
            while not stop.is_set():
                place_map.add(keyframes(unit_vectors(2)))

        thread = threading.Thread(target=add)
        thread.start()
        try:
            for number in range(3):
                place_map.save(tmp_path / f'copy{number}')
        finally:
            stop.set()
            thread.join()
    for number in range(3):
        with PlaceMap.open(tmp_path / f'copy{number}') as copy:
            assert copy.check() == [] and len(copy) % 2 == 0
            assert len(copy.search(unit_vectors(1)[0], 1000)) == len(copy)


def test_a_copy_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / 'file').write_text('hello')
    with created(tmp_path / 'map') as place_map:
        assert 'no copy of the map can be written at' in refused(place_map.save, tmp_path / 'file')

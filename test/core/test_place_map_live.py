"""One program writes a map while another one reads it, or it vanishes while it is open."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from maps import KINDS, answers, created, refused
from samples import keyframes, random_map, unit_vectors

from cerfevpr_core.errors import DamagedMapError, MapError, MapGoneError
from cerfevpr_core.geometry import Pose
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.place_map.index import VectorIndex

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('kind', KINDS)
def test_a_reader_sees_what_another_one_wrote_without_a_new_index(tmp_path, kind, monkeypatch):
    random_map(tmp_path / 'map', 20, kind=kind)
    reader, writer = (PlaceMap.open(tmp_path / 'map', kind) for _ in range(2))
    index = reader.derived.index
    new = unit_vectors(3, seed=7)
    monkeypatch.setattr(VectorIndex, 'build', lambda *_: pytest.fail('built anew'))
    ids = writer.add(keyframes(new, traverse='night'))
    assert [reader.search(v, 1)[0].keyframe_id for v in new] == ids
    assert reader.traverses() == ['', 'night']
    writer.remove([ids[1], 4])
    found = {c.keyframe_id for c in reader.search(new[1], 100)}
    assert found == set(range(1, 24)) - {ids[1], 4}
    pose = Pose((1.0, 2.0, 3.0), (0.0, 0.0, 0.0, 1.0))
    writer.update_poses([ids[0]], [pose])
    assert reader.search(new[0], 1)[0].pose == pose
    assert reader.derived.index is index
    assert answers(reader) == answers(writer)
    reader.close(), writer.close()


def test_refresh_says_whether_there_was_anything(tmp_path):
    random_map(tmp_path / 'map', 5)
    with PlaceMap.open(tmp_path / 'map') as reader, PlaceMap.open(tmp_path / 'map') as writer:
        assert not reader.refresh()
        writer.add(keyframes(unit_vectors(1, seed=3)))
        assert reader.refresh() and not reader.refresh() and not writer.refresh()
        writer.set_calibration(b'a')  # changes no keyframe
        assert not reader.refresh() and reader.calibration() == b'a'


def test_two_who_change_a_map_in_turn_agree_at_every_step(tmp_path):
    random_map(tmp_path / 'map', 12)
    first, second = PlaceMap.open(tmp_path / 'map'), PlaceMap.open(tmp_path / 'map')
    for step in range(6):
        one, other = (first, second) if step % 2 else (second, first)
        one.add(keyframes(unit_vectors(2, seed=step)))
        other.remove([step + 1])
        other.add(keyframes(unit_vectors(1, seed=50 + step)))
        one.remove([step + 14])
        assert answers(one) == answers(other)
        assert len(one.search(unit_vectors(1)[0], 100)) == len(one) == 12 + step + 1
    second.close()
    first.close()
    with PlaceMap.open(tmp_path / 'map') as place_map:
        assert place_map.derived.saved or place_map.check() == []
        assert len(place_map.search(unit_vectors(1)[0], 100)) == 18


WRITER = """
import sys
from pathlib import Path
from samples import keyframes, unit_vectors
from cerfevpr_core.place_map import PlaceMap
with PlaceMap.open(Path(sys.argv[1])) as place_map:
    for step in range(40):
        ids = place_map.add(keyframes(unit_vectors(2, seed=1000 + step)))
        if step % 4 == 3:
            place_map.remove(ids[:1])
        print(step, flush=True)
"""


def test_a_map_is_read_while_another_program_writes_it(tmp_path):
    random_map(tmp_path / 'map', 10)
    environment = {'PYTHONPATH': f'{ROOT}:{Path(__file__).parent}', 'OMP_NUM_THREADS': '1'}
    with PlaceMap.open(tmp_path / 'map') as reader:
        with subprocess.Popen(
            [sys.executable, '-c', WRITER, str(tmp_path / 'map')],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        ) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                step = int(line)
                second = reader.search(unit_vectors(2, seed=1000 + step)[1], 1)[0]
                assert second.similarity > 0.999  # acknowledged, so it is found
        assert writer.returncode == 0
        assert len(reader.search(unit_vectors(1)[0], 1000)) == len(reader) == 80


def test_threads_map_and_localize_on_two_openings_of_one_map(tmp_path):
    random_map(tmp_path / 'map', 10)
    reader, writer = PlaceMap.open(tmp_path / 'map'), PlaceMap.open(tmp_path / 'map')
    errors: list[BaseException] = []
    stop = threading.Event()

    def localize() -> None:
        try:
            while not stop.is_set():
                found = reader.search(unit_vectors(1, seed=1)[0], 5)
                assert len({c.keyframe_id for c in found}) == 5
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=localize) for _ in range(2)]
    for thread in threads:
        thread.start()
    for step in range(30):
        writer.remove(writer.add(keyframes(unit_vectors(2, seed=step)))[:1])
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == [] and answers(reader) == answers(writer)
    reader.close(), writer.close()


def uses(place_map: PlaceMap) -> list[str]:
    """What each kind of use says of a map that has gone."""
    pose = Pose((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    calls = [
        lambda: place_map.search(unit_vectors(1)[0], 1),
        lambda: place_map.add(keyframes(unit_vectors(1))),
        lambda: place_map.remove([1]),
        lambda: place_map.update_poses([1], [pose]),
        lambda: place_map.find('7'),
        lambda: place_map.traverses(),
        lambda: place_map.refresh(),
        lambda: place_map.set_calibration(b'a'),
        lambda: place_map.save(),
        lambda: place_map.save(place_map.folder.with_name('copy')),
        lambda: len(place_map),
    ]
    texts = []
    for call in calls:
        with pytest.raises(MapGoneError) as caught:
            call()
        texts.append(str(caught.value))
    return texts


def test_a_map_that_was_removed_while_open_says_so_at_every_use(tmp_path, caplog):
    random_map(tmp_path / 'map', 5)
    place_map = PlaceMap.open(tmp_path / 'map')
    place_map.add(keyframes(unit_vectors(1, seed=2)))
    shutil.rmtree(tmp_path / 'map')
    assert all('was removed or moved while it was open' in text for text in uses(place_map))
    with caplog.at_level(logging.WARNING):
        place_map.close()
    assert any('was removed or moved' in text for text in caplog.messages)
    assert not (tmp_path / 'map').exists()


def test_a_map_that_was_replaced_while_open_says_so_and_spares_the_other(tmp_path):
    random_map(tmp_path / 'map', 5)
    others = unit_vectors(3, seed=9)
    with created(tmp_path / 'other') as other:
        other.add(keyframes(others))
    place_map = PlaceMap.open(tmp_path / 'map')
    place_map.add(keyframes(unit_vectors(1, seed=2)))
    (tmp_path / 'map').rename(tmp_path / 'old')
    (tmp_path / 'other').rename(tmp_path / 'map')
    with PlaceMap.open(tmp_path / 'map') as another:
        another.add(keyframes(unit_vectors(1, seed=3)))  # its log is not yet in its file
        assert all('another map was put at' in text for text in uses(place_map))
        place_map.close()
        assert another.search(others[1], 1)[0].keyframe_id == 2
    with PlaceMap.open(tmp_path / 'map') as another:
        assert len(another) == 4 and another.check() == []
    with PlaceMap.open(tmp_path / 'old') as old:  # what was acknowledged is there too
        assert len(old) == 6 and old.check() == []


def test_a_map_copied_over_an_open_one_is_noticed(tmp_path):
    random_map(tmp_path / 'map', 5)
    with created(tmp_path / 'other') as other:
        other.add(keyframes(unit_vectors(3, seed=9)))
    reader = PlaceMap.open(tmp_path / 'map')
    shutil.copyfile(tmp_path / 'other/keyframes.sqlite', tmp_path / 'map/keyframes.sqlite')
    with PlaceMap.open(tmp_path / 'map') as writer:
        writer.add(keyframes(unit_vectors(1)))
        assert 'another map was put at' in refused(reader.search, unit_vectors(1)[0], 1)
        assert 'another map was put at' in refused(reader.search, unit_vectors(1)[0], 1)
    reader.close()


def test_a_closed_map_is_not_called_damaged(tmp_path):
    random_map(tmp_path / 'map', 5)
    place_map = PlaceMap.open(tmp_path / 'map')
    place_map.close()
    with pytest.raises(MapError, match='closed') as told:
        place_map.store.thumbnail(1)
    assert not isinstance(told.value, DamagedMapError)
    place_map.close()  # may come twice

"""The map: what it finds, what it keeps, and what it says when it is damaged."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from samples import keyframes, random_map, unit_vectors

from cerfevpr_core.errors import DamagedMapError, MapError
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.place_map import Keyframe, Manifest, PlaceMap
from cerfevpr_core.place_map.index import VectorIndex

ROOT = Path(__file__).resolve().parents[2]
DIM = 16
KINDS = ('flat', 'hnsw')


def created(folder: Path, kind: str = 'flat', dim: int = DIM) -> PlaceMap:
    return PlaceMap.create(folder, Manifest('model', {'method': 'grid'}, dim), kind)


def answers(place_map: PlaceMap, top_k: int = 5, queries: np.ndarray | None = None):
    """(keyframe id, similarity) of some queries, rounded for comparison."""
    queries = (
        unit_vectors(10, place_map.manifest.descriptor_dim, 99) if queries is None else queries
    )
    found = [place_map.search(query, top_k) for query in queries]
    return [[(c.keyframe_id, round(c.similarity, 5)) for c in each] for each in found]


def refused(call, *given) -> str:
    with pytest.raises(MapError) as caught:
        call(*given)
    return str(caught.value)


def sql(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / 'keyframes.sqlite')
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


# What it finds


@pytest.mark.parametrize('kind', KINDS)
def test_every_keyframe_is_found_by_its_own_descriptor(tmp_path, kind):
    vectors = unit_vectors(50)
    with created(tmp_path / 'map', kind) as place_map:
        ids = place_map.add(keyframes(vectors))
        assert len(place_map) == 50
        for keyframe_id, vector in zip(ids, vectors, strict=True):
            best, *others = place_map.search(vector, 5)
            assert best.keyframe_id == keyframe_id
            assert best.similarity == pytest.approx(1, abs=1e-5)
            similarities = [best.similarity, *(c.similarity for c in others)]
            assert similarities == sorted(similarities, reverse=True)


def test_similarities_are_cosines(tmp_path):
    vectors, query = unit_vectors(20), unit_vectors(1, seed=5)[0]
    with created(tmp_path / 'map') as place_map:
        place_map.add(keyframes(vectors))
        found = place_map.search(query, 20)
    cosines = vectors @ query
    assert [c.name for c in found] == [f'{i}.jpg' for i in np.argsort(-cosines)]
    np.testing.assert_allclose([c.similarity for c in found], np.sort(cosines)[::-1], atol=1e-6)


def test_a_search_for_more_than_there_is_gives_all_once(tmp_path):
    with created(tmp_path / 'map') as place_map:
        assert place_map.search(unit_vectors(1)[0], 5) == []
        place_map.add(keyframes(unit_vectors(3)))
        assert sorted(c.keyframe_id for c in place_map.search(unit_vectors(1)[0], 10)) == [1, 2, 3]


@pytest.mark.parametrize('kind', KINDS)
def test_a_keyframe_with_several_descriptors_counts_once_by_its_best(tmp_path, kind):
    base = unit_vectors(1)[0]
    near = [base + 0.01 * v for v in unit_vectors(30, seed=1)]
    near = np.stack([v / np.linalg.norm(v) for v in near]).astype(np.float32)
    far = unit_vectors(4, seed=2)
    with created(tmp_path / 'map', kind) as place_map:
        place_map.add([Keyframe('many', np.concatenate([near, base[None]])), *keyframes(far)])
        found = place_map.search(base, 5)
    assert found[0].name == 'many'
    assert found[0].similarity == pytest.approx(1, abs=1e-5)
    assert sorted(c.keyframe_id for c in found) == [1, 2, 3, 4, 5]


def test_what_is_known_of_a_keyframe_comes_back_with_it(tmp_path):
    pose, camera = Pose((1.5, 2.0, 3.0), (0.0, 0.0, 0.6, 0.8)), Camera(64, 48, 50, 50, 32, 24)
    vector = unit_vectors(1)
    frame = Keyframe(
        'a b.jpg', vector, 'kf:7', 'day', 1_700_000_000_000_000_123, pose, camera, b'J'
    )
    with created(tmp_path / 'map') as place_map:
        place_map.add([frame])
    with PlaceMap.open(tmp_path / 'map') as place_map:
        (found,) = place_map.search(vector[0], 1)
        assert place_map.store.thumbnail(found.keyframe_id) == b'J'
        assert place_map.store.thumbnail(999) == b''
    assert (found.name, found.external_id, found.traverse) == ('a b.jpg', 'kf:7', 'day')
    assert (found.stamp_ns, found.pose) == (1_700_000_000_000_000_123, pose)
    assert found.probability is None and not found.verified


# What it keeps


@pytest.mark.parametrize('kind', KINDS)
def test_a_map_that_is_saved_and_opened_gives_the_same_answers(tmp_path, kind):
    with created(tmp_path / 'map', kind) as place_map:
        for start in range(0, 60, 20):
            place_map.add(keyframes(unit_vectors(20, seed=start)))
        before, map_id = answers(place_map), place_map.manifest.map_id
    with PlaceMap.open(tmp_path / 'map', kind) as place_map:
        assert answers(place_map) == before
        assert place_map.manifest.map_id == map_id
        assert place_map.manifest.settings == {'method': 'grid'}
        assert place_map.check() == []


def test_what_was_fitted_travels_with_the_map(tmp_path):
    vocabulary = unit_vectors(4)
    manifest = Manifest('model', {}, DIM, {'vocabulary': vocabulary})
    PlaceMap.create(tmp_path / 'map', manifest).close()
    with PlaceMap.open(tmp_path / 'map') as place_map:
        np.testing.assert_array_equal(place_map.manifest.fitted['vocabulary'], vocabulary)


def test_ids_are_never_used_again(tmp_path):
    with created(tmp_path / 'map') as place_map:
        assert place_map.add(keyframes(unit_vectors(3))) == [1, 2, 3]
    sql(tmp_path / 'map', 'DELETE FROM descriptors WHERE keyframe_id = 3')
    sql(tmp_path / 'map', 'DELETE FROM keyframes WHERE id = 3')
    with PlaceMap.open(tmp_path / 'map') as place_map:
        assert place_map.add(keyframes(unit_vectors(1))) == [4]


def test_a_second_keyframe_of_the_same_external_id_is_refused_and_nothing_is_lost(tmp_path):
    with created(tmp_path / 'map') as place_map:
        place_map.add([Keyframe('a', unit_vectors(1), external_id='7')])
        before = answers(place_map)
        batch = keyframes(unit_vectors(3, seed=1))
        batch.insert(2, Keyframe('b', unit_vectors(1, seed=4), external_id='7'))
        text = refused(place_map.add, batch)
        assert "keyframe 1 of the map has the external_id '7' already; nothing was added" in text
        assert len(place_map) == 1
        assert answers(place_map) == before
        place_map.add(keyframes(unit_vectors(2), external_id=''))  # none is not an id
        assert len(place_map) == 3
    with PlaceMap.open(tmp_path / 'map') as place_map:
        assert len(place_map) == 3 and place_map.check() == []


@pytest.mark.parametrize('wrong', [np.nan, np.inf, -np.inf])
def test_a_descriptor_that_is_not_finite_is_refused_and_nothing_is_added(tmp_path, wrong):
    vectors = unit_vectors(3)
    vectors[1, 4] = wrong
    with created(tmp_path / 'map') as place_map:
        text = refused(place_map.add, keyframes(vectors))
        assert 'the descriptor of 1.jpg is not finite; nothing was added' in text
        assert len(place_map) == 0 and place_map.search(unit_vectors(1)[0], 5) == []
        assert place_map.add(keyframes(unit_vectors(2))) == [1, 2]


def test_adding_nothing_is_allowed(tmp_path):
    with created(tmp_path / 'map') as place_map:
        assert place_map.add([]) == []
        assert len(place_map) == 0


def test_several_threads_add_and_search_at_once(tmp_path):
    errors: list[BaseException] = []
    with created(tmp_path / 'map') as place_map:

        def work(seed: int) -> None:
            try:
                for step in range(10):
                    vectors = unit_vectors(3, seed=100 * seed + step)
                    ids = place_map.add(keyframes(vectors))
                    best = place_map.search(vectors[0], 2)
                    assert best[0].keyframe_id == ids[0]
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert len(place_map) == 120
        before = answers(place_map)
    with PlaceMap.open(tmp_path / 'map') as place_map:
        assert answers(place_map) == before and place_map.check() == []


def test_two_who_add_to_one_map_lose_nothing_of_each_other(tmp_path):
    random_map(tmp_path / 'map', 5)
    first, second = PlaceMap.open(tmp_path / 'map'), PlaceMap.open(tmp_path / 'map')
    ours, theirs = unit_vectors(2, seed=7), unit_vectors(2, seed=8)
    second.add(keyframes(theirs))
    first.add(keyframes(ours))  # after an addition that the first one did not see
    second.close()
    assert [len(first.search(v, 1)) and first.search(v, 1)[0].keyframe_id for v in theirs] == [
        6,
        7,
    ]
    first.close()
    with PlaceMap.open(tmp_path / 'map') as place_map:
        found = [place_map.search(v, 1)[0] for v in np.concatenate([theirs, ours])]
        assert [c.keyframe_id for c in found] == [6, 7, 8, 9]
        assert all(c.similarity > 0.999 for c in found)


def test_one_who_only_reads_leaves_no_old_index_to_one_who_adds(tmp_path):
    random_map(tmp_path / 'map', 5)
    (tmp_path / 'map' / 'index.faiss').unlink()
    reader, writer = PlaceMap.open(tmp_path / 'map'), PlaceMap.open(tmp_path / 'map')
    vector = unit_vectors(1, seed=7)
    writer.add(keyframes(vector))
    writer.close()
    reader.close()  # writes the index of five keyframes last
    with PlaceMap.open(tmp_path / 'map') as place_map:
        assert place_map.search(vector[0], 1)[0].keyframe_id == 6


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


def test_a_map_is_never_made_over_another(tmp_path):
    created(tmp_path / 'map').close()
    assert f'there is a map at {tmp_path / "map"} already' in refused(created, tmp_path / 'map')
    (tmp_path / 'file').write_text('hello')
    assert f'no map can be written at {tmp_path / "file"}' in refused(created, tmp_path / 'file')


# The index is derived


def tamper_truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def tamper_flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def tamper_text(file: Path) -> None:
    file.write_text('hello')


def tamper_empty(file: Path) -> None:
    file.write_bytes(b'')


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('name', ['index.faiss', 'index.json'])
@pytest.mark.parametrize(
    'tamper', [Path.unlink, tamper_truncate, tamper_flip, tamper_text, tamper_empty]
)
def test_an_index_that_is_missing_or_damaged_is_built_again(tmp_path, kind, name, tamper):
    random_map(tmp_path / 'map', 40, kind=kind)
    with PlaceMap.open(tmp_path / 'map', kind) as place_map:
        before = answers(place_map)
    tamper(tmp_path / 'map' / name)
    with PlaceMap.open(tmp_path / 'map', kind) as place_map:
        assert answers(place_map) == before
    with PlaceMap.open(tmp_path / 'map', kind) as place_map:  # and is sound on disk again
        assert VectorIndex.load(tmp_path / 'map', place_map.store.generation(), kind) is not None
        assert answers(place_map) == before


def test_an_index_whose_owners_were_swapped_is_built_again(tmp_path):
    vectors = random_map(tmp_path / 'map', 40)
    file = tmp_path / 'map' / 'index.json'
    stamp = json.loads(file.read_text())
    stamp['keyframe_ids'][:2] = [2, 1]
    file.write_text(json.dumps(stamp))
    with PlaceMap.open(tmp_path / 'map') as place_map:
        assert place_map.search(vectors[0], 1)[0].keyframe_id == 1


def test_an_index_of_another_state_or_map_is_built_again(tmp_path):
    random_map(tmp_path / 'map', 10)
    for name in ('index.faiss', 'index.json'):
        shutil.copy(tmp_path / 'map' / name, tmp_path / name)
    new = unit_vectors(5, seed=3)
    with PlaceMap.open(tmp_path / 'map') as place_map:
        place_map.add(keyframes(new))
    for name in ('index.faiss', 'index.json'):
        shutil.copy(tmp_path / name, tmp_path / 'map' / name)
    with PlaceMap.open(tmp_path / 'map') as place_map:
        assert [place_map.search(v, 1)[0].keyframe_id for v in new] == [11, 12, 13, 14, 15]


def test_an_index_of_another_kind_is_built_again(tmp_path):
    random_map(tmp_path / 'map', 40, kind='flat')
    with PlaceMap.open(tmp_path / 'map', 'flat') as place_map:
        before = answers(place_map)
    with PlaceMap.open(tmp_path / 'map', 'hnsw') as place_map:
        assert type(place_map.index.index).__name__ == 'IndexHNSWFlat'
        assert answers(place_map) == before


def test_an_index_that_fits_is_not_written_again(tmp_path):
    random_map(tmp_path / 'map', 10)
    before = {f.name: f.stat().st_mtime_ns for f in (tmp_path / 'map').glob('index.*')}
    with PlaceMap.open(tmp_path / 'map') as place_map:
        place_map.search(unit_vectors(1)[0], 1)
    assert {f.name: f.stat().st_mtime_ns for f in (tmp_path / 'map').glob('index.*')} == before


@pytest.mark.slow
def test_ivfpq_finds_most_of_what_flat_finds(tmp_path):
    # Places as they come: many views around a few centres.
    rng = np.random.default_rng(0)
    vectors = unit_vectors(300, 32)[rng.integers(0, 300, 4000)] + 0.12 * rng.normal(
        size=(4000, 32)
    )
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    flat = VectorIndex.build('flat', np.arange(4000), vectors)
    ivfpq = VectorIndex.build('ivfpq', np.arange(4000), vectors)
    assert type(ivfpq.index).__name__ == 'IndexIVFPQ'
    queries = vectors[::40] + 0.02 * rng.normal(size=(100, 32)).astype(np.float32)
    shared = [
        {i for i, _ in flat.search(q, 1)} <= {i for i, _ in ivfpq.search(q, 10)} for q in queries
    ]
    assert np.mean(shared) > 0.9
    ivfpq.save(tmp_path, 'now')
    loaded = VectorIndex.load(tmp_path, 'now', 'ivfpq')
    assert [loaded.search(q, 5) for q in queries] == [ivfpq.search(q, 5) for q in queries]


@pytest.mark.slow
def test_a_map_that_has_grown_enough_gets_the_ivfpq_it_was_made_with(tmp_path):
    random_map(tmp_path / 'map', 2100, kind='ivfpq')
    with PlaceMap.open(tmp_path / 'map', 'ivfpq') as place_map:
        assert place_map.index.kind == 'ivfpq'
        assert place_map.index_saved


def test_a_map_too_small_for_ivfpq_says_that_it_uses_flat(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        vectors = random_map(tmp_path / 'map', 20, kind='ivfpq')
        with PlaceMap.open(tmp_path / 'map', 'ivfpq') as place_map:
            assert place_map.search(vectors[7], 1)[0].keyframe_id == 8
    expected = 'map.index = ivfpq needs 2048 descriptors to train'
    assert any(m.startswith(expected) and m.endswith('using flat') for m in caplog.messages)


# What it says when it is not sound


def test_a_folder_without_a_map_says_how_to_build_one(tmp_path):
    text = refused(PlaceMap.open, tmp_path / 'gone')
    assert f'no map at {tmp_path / "gone"}: it does not exist' in text
    assert '`cerfevpr map build --images DIR --out' in text
    assert 'it holds no keyframes.sqlite' in refused(PlaceMap.open, tmp_path)


def test_a_map_without_keyframes_says_how_to_add_some(tmp_path):
    created(tmp_path / 'map').close()
    with PlaceMap.open(tmp_path / 'map') as place_map:
        assert f'`cerfevpr map add {tmp_path / "map"} --images DIR`' in refused(
            place_map.require_keyframes
        )


@pytest.mark.parametrize(
    'content', [b'', b'hello, this is text\n' * 300, bytes(8192), random.Random(0).randbytes(8192)]
)
def test_a_file_that_is_no_database_is_called_damaged(tmp_path, content):
    file = tmp_path / 'keyframes.sqlite'
    file.write_bytes(content)
    with pytest.raises(DamagedMapError, match='is damaged') as caught:
        PlaceMap.open(tmp_path)
    assert 'restore a copy, or build it again with `cerfevpr map build`' in str(caught.value)
    assert file.read_bytes() == content


def test_a_database_of_something_else_is_refused_and_left_as_it_is(tmp_path):
    sql(tmp_path, 'CREATE TABLE songs (title TEXT)', "INSERT INTO songs VALUES ('a')")
    before = (tmp_path / 'keyframes.sqlite').read_bytes()
    text = refused(PlaceMap.open, tmp_path)
    assert 'is a database of something else' in text
    assert 'choose a folder made by `cerfevpr map build`' in text
    assert (tmp_path / 'keyframes.sqlite').read_bytes() == before
    assert [f.name for f in tmp_path.iterdir()] == ['keyframes.sqlite']


def test_a_map_of_another_format_is_refused(tmp_path):
    random_map(tmp_path / 'map', 3)
    sql(tmp_path / 'map', "UPDATE manifest SET value = 2 WHERE key = 'format'")
    text = refused(PlaceMap.open, tmp_path / 'map')
    assert 'has format 2, this version reads 1; use the version that made it' in text


@pytest.mark.parametrize('key', ['fingerprint', 'settings', 'fitted', 'descriptor_dim'])
def test_a_map_without_a_part_of_its_manifest_is_called_damaged(tmp_path, key):
    random_map(tmp_path / 'map', 3)
    sql(tmp_path / 'map', f"DELETE FROM manifest WHERE key = '{key}'")
    assert 'its manifest cannot be read' in refused(PlaceMap.open, tmp_path / 'map')


@pytest.mark.parametrize('share', [0.05, 0.3, 0.6, 0.9, 0.999])
def test_a_map_that_is_cut_short_is_refused_or_found_by_check(tmp_path, share):
    random_map(tmp_path / 'map', 200, dim=64)
    file = tmp_path / 'map' / 'keyframes.sqlite'
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    try:
        place_map = PlaceMap.open(tmp_path / 'map')
    except DamagedMapError as error:
        assert 'is damaged' in str(error)
        return
    assert place_map.check()
    place_map.store.close()


def test_a_changed_descriptor_is_named_by_check_and_never_searched(tmp_path):
    vectors = random_map(tmp_path / 'map', 20)
    file = tmp_path / 'map' / 'keyframes.sqlite'
    content = bytearray(file.read_bytes())
    where = content.index(vectors[6].tobytes())
    content[where + 9] ^= 1
    file.write_bytes(content)
    with PlaceMap.open(tmp_path / 'map') as place_map:
        expected = ['keyframe 7: its descriptor has changed since it was written']
        assert place_map.check() == expected
    (tmp_path / 'map' / 'index.faiss').unlink()
    text = refused(PlaceMap.open, tmp_path / 'map')
    assert 'is damaged: the descriptor of keyframe 7 has changed' in text


@pytest.mark.parametrize(
    ('statement', 'expected'),
    [
        ('DELETE FROM descriptors WHERE keyframe_id = 2', 'keyframe 2 has no descriptor'),
        ("UPDATE descriptors SET vector = x'00' WHERE keyframe_id = 2", 'keyframe 2: its'),
        ('DELETE FROM keyframes WHERE id = 2', 'belongs to no keyframe'),
    ],
)
def test_check_names_what_does_not_belong_together(tmp_path, statement, expected):
    random_map(tmp_path / 'map', 3)
    sql(tmp_path / 'map', statement)
    with PlaceMap.open(tmp_path / 'map') as place_map:
        assert expected in '\n'.join(place_map.check())


def test_a_flipped_bit_anywhere_never_ends_in_another_error(tmp_path):
    random_map(tmp_path / 'map', 30)
    file = tmp_path / 'map' / 'keyframes.sqlite'
    sound, rng = file.read_bytes(), random.Random(1)
    for _ in range(60):
        content = bytearray(sound)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        file.write_bytes(content)
        shutil.rmtree(tmp_path / 'copy', ignore_errors=True)
        shutil.copytree(tmp_path / 'map', tmp_path / 'copy')
        try:
            with PlaceMap.open(tmp_path / 'copy') as place_map:
                place_map.check()
                place_map.search(unit_vectors(1)[0], 3)
        except MapError:
            pass


def test_another_model_is_refused_with_both_fingerprints(tmp_path):
    random_map(tmp_path / 'map', 1)
    with PlaceMap.open(tmp_path / 'map') as place_map:
        place_map.require('model')
        text = refused(place_map.require, 'other', ['grid.num_cells is 2, the map has 7'])
        assert 'was made by model model, this is model other' in text
        assert 'grid.num_cells is 2, the map has 7' in text
        assert 'the weights differ' in refused(place_map.require, 'other')


# When its writer is killed

ADDER = """
import sys
from pathlib import Path
from samples import keyframes, unit_vectors
from cerfevpr_core.place_map import PlaceMap
place_map = PlaceMap.open(Path(sys.argv[1]))
seed = int(sys.argv[2])
while True:
    seed += 1
    ids = place_map.add(keyframes(unit_vectors(3, seed=seed), external_id=''))
    print(seed, *ids, flush=True)
    if seed % 5 == 0:
        place_map.save()
"""


def acknowledged_before_kill(folder: Path, seed: int, after_s: float) -> dict[int, list[int]]:
    """Seeds and ids that a process acknowledged before it was killed."""
    environment = os.environ | {'PYTHONPATH': str(Path(__file__).parent), 'OMP_NUM_THREADS': '1'}
    process = subprocess.Popen(
        [sys.executable, '-c', ADDER, str(folder), str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    lines = [first, *process.communicate()[0].splitlines(keepends=True)]
    # The last line may be cut off in the middle.
    numbers = [[int(n) for n in line.split()] for line in lines if line.endswith('\n')]
    return {line[0]: line[1:] for line in numbers}


@pytest.mark.slow
def test_a_map_whose_writer_is_killed_keeps_all_that_was_acknowledged(tmp_path):
    folder, rng = tmp_path / 'map', random.Random(0)
    created(folder).close()
    known: dict[int, list[int]] = {}
    for round_ in range(10):
        known |= acknowledged_before_kill(folder, 100_000 * round_, rng.uniform(0, 0.15))
        with PlaceMap.open(folder) as place_map:
            assert place_map.check() == []
            assert len(place_map) % 3 == 0  # each addition is whole or not there
            for seed, ids in known.items():
                vectors = unit_vectors(3, seed=seed)
                assert [place_map.search(v, 1)[0].keyframe_id for v in vectors] == ids
    assert len(known) >= 10


# Where nobody may write


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


# What must not be in the code


def test_nothing_that_runs_code_is_ever_loaded():
    for file in (ROOT / 'cerfevpr_core').rglob('*.py'):
        text = file.read_text(encoding='utf-8')
        for call in ('pickle.load', 'allow_pickle=True', 'joblib', 'marshal.load', 'yaml.load('):
            assert call not in text, f'{file}: {call}'
        assert text.count('torch.load(') == text.count('weights_only=True'), file

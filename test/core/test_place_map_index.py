"""The index of a map is derived: it is built again whenever it does not fit."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from maps import KINDS, answers
from samples import keyframes, random_map, unit_vectors

from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.place_map.index import VectorIndex


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
        assert type(place_map.derived.index.index).__name__ == 'IndexHNSWFlat'
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
        assert place_map.derived.index.kind == 'ivfpq'
        assert place_map.derived.saved


def test_a_map_too_small_for_ivfpq_says_that_it_uses_flat(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        vectors = random_map(tmp_path / 'map', 20, kind='ivfpq')
        with PlaceMap.open(tmp_path / 'map', 'ivfpq') as place_map:
            assert place_map.search(vectors[7], 1)[0].keyframe_id == 8
    expected = 'map.index = ivfpq needs 2048 descriptors to train'
    assert any(m.startswith(expected) and m.endswith('using flat') for m in caplog.messages)

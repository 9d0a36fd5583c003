"""A map folder that somebody made to do harm: it is refused in words, or does none."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from maps import DIM, answers, created, refused, sql
from samples import keyframes, unit_vectors

from cerfevpr_core.errors import MapError
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.place_map.index import FILE as INDEX

ANY_CELL = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(), st.binary(max_size=200)
)
KEYS = ('format', 'map_id', 'fingerprint', 'settings', 'descriptor_dim', 'fitted', 'generation')
FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with created(tmp_path / 'map') as place_map:
        place_map.add(keyframes(unit_vectors(5, DIM)))
    return tmp_path / 'map'


def set_manifest(folder: Path, key: str, value: object) -> None:
    connection = sqlite3.connect(folder / 'keyframes.sqlite')
    with connection:
        connection.execute('INSERT OR REPLACE INTO manifest VALUES (?, ?)', (key, value))
    connection.close()


@pytest.mark.parametrize(
    ('statement', 'what'),
    [
        ('CREATE TRIGGER t AFTER INSERT ON keyframes BEGIN DELETE FROM keyframes; END', 'trigger'),
        ('CREATE VIEW v AS SELECT * FROM keyframes', 'view'),
        ('CREATE VIRTUAL TABLE v USING fts5(content)', 'virtual table'),
    ],
)
def test_what_runs_by_itself_is_refused(folder, statement, what):
    sql(folder, statement)
    assert f'has the {what}' in refused(PlaceMap.open, folder)


def test_a_view_in_the_place_of_a_table_is_refused(folder):
    sql(
        folder,
        'ALTER TABLE keyframes RENAME TO others',
        'CREATE VIEW keyframes AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) '
        'SELECT i AS id FROM n',  # endless
    )
    assert "has the view 'keyframes'" in refused(PlaceMap.open, folder)


@FEW
@given(st.sampled_from(KEYS), ANY_CELL)
def test_any_value_in_the_manifest_is_borne_or_refused_in_words(folder, key, value):
    if not _storable(value):
        return
    connection = sqlite3.connect(folder / 'keyframes.sqlite')
    (before,) = connection.execute('SELECT value FROM manifest WHERE key = ?', (key,)).fetchone()
    connection.close()
    try:
        set_manifest(folder, key, value)
        with PlaceMap.open(folder) as place_map:
            assert len(place_map) == 5
    except MapError as error:
        assert str(folder) in str(error)
    finally:
        set_manifest(folder, key, before)


def _storable(value: object) -> bool:
    # SQLite keeps NaN as NULL, which the column does not take.
    return value is not None and value == value and str(value).isprintable()


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('settings', '[' * 100_000),
        ('settings', '[1]'),
        ('settings', '{"map.top_k": 1e999'),
        ('descriptor_dim', 2**62),
        ('descriptor_dim', -16),
        ('descriptor_dim', '16'),
        ('fitted', struct.pack('<Q', 2**63) + b'{}'),
        ('fitted', struct.pack('<Q', 40) + b'{"a": {"dtype": "F32", "shape": [99'),
        (
            'fitted',
            struct.pack('<Q', 70)
            + b'{"a":{"dtype":"F32","shape":[4000000000],"data_offsets":[0,16000000000]}}'.ljust(
                70
            ),
        ),
        ('fingerprint', b'x'),
        ('map_id', 7),
    ],
)
def test_a_malformed_manifest_is_damage(folder, key, value):
    set_manifest(folder, key, value)
    assert 'is damaged' in refused(PlaceMap.open, folder)


def test_a_fitted_part_that_has_the_wrong_shape_is_never_code(folder):
    set_manifest(folder, 'fitted', safetensors.numpy.save({'projection': np.zeros((0, 3))}))
    with PlaceMap.open(folder) as place_map:
        assert place_map.manifest.fitted['projection'].shape == (0, 3)


@pytest.mark.parametrize('size', [0, 4 * DIM - 1, 4 * DIM + 4, 50_000_000])
def test_a_descriptor_of_another_size_is_refused(folder, size):
    (folder / INDEX).unlink()
    sql(folder, f'UPDATE descriptors SET vector = zeroblob({size}) WHERE id = 2')
    assert 'the descriptor of keyframe 2 has changed' in refused(PlaceMap.open, folder)


def test_the_check_names_values_of_a_type_that_is_never_written(folder):
    sql(
        folder,
        "UPDATE keyframes SET name = x'00ff' WHERE id = 1",
        "UPDATE keyframes SET stamp_ns = 'soon' WHERE id = 2",
        "UPDATE keyframes SET x_m = x'01' WHERE id = 3",
    )
    with PlaceMap.open(folder) as place_map:
        told = place_map.check()
    assert [text for text in told if 'another type' in text] == [
        f'keyframe {i} has a value of another type than was ever written' for i in (1, 2, 3)
    ]


def test_a_sound_map_with_everything_in_it_has_no_problem(tmp_path):
    with created(tmp_path / 'map') as place_map:
        place_map.add(
            [replace(k, thumbnail=b'jpeg', stamp_ns=5) for k in keyframes(unit_vectors(3, DIM))]
        )
        assert place_map.check() == []


@pytest.mark.parametrize('target', ['no such file', '/dev/zero', '/etc/passwd', '.'])
def test_an_index_that_is_a_link_is_built_again_and_its_target_left_alone(
    folder, target, tmp_path
):
    with PlaceMap.open(folder) as place_map:
        expected = answers(place_map)
    precious = tmp_path / 'precious'
    precious.write_text('precious')
    (folder / INDEX).unlink()
    (folder / INDEX).symlink_to(precious if target == 'no such file' else target)
    with PlaceMap.open(folder) as place_map:
        assert answers(place_map) == expected
        place_map.add(keyframes(unit_vectors(1, DIM, seed=5)))
    assert precious.read_text() == 'precious'
    assert (folder / INDEX).is_file() and not (folder / INDEX).is_symlink()


def test_a_stamp_of_the_index_that_lies_is_not_believed(folder):
    with PlaceMap.open(folder) as place_map:
        expected = answers(place_map)
    (folder / 'index.json').write_text(json.dumps({'generation': '\0', 'keyframe_ids': [2**70]}))
    with PlaceMap.open(folder) as place_map:
        assert answers(place_map) == expected


def test_what_is_no_file_is_no_map(tmp_path):
    place = tmp_path / 'map'
    place.mkdir()
    os.mkfifo(place / 'keyframes.sqlite')  # to open it would wait for a writer for ever
    assert 'no map at' in refused(PlaceMap.open, place)

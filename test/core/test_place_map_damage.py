"""What a map says when it is missing, damaged or not ours."""

from __future__ import annotations

import random
import shutil
from contextlib import suppress

import pytest
from maps import created, refused, sql
from samples import random_map, unit_vectors

from cerfevpr_core.errors import DamagedMapError, MapError
from cerfevpr_core.place_map import PlaceMap


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
    sql(tmp_path / 'map', "UPDATE manifest SET value = 1 WHERE key = 'format'")
    text = refused(PlaceMap.open, tmp_path / 'map')
    assert 'has format 1, this version reads 2; use the version that made it' in text


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
        # Sound or refused by name: any other error fails.
        with suppress(MapError), PlaceMap.open(tmp_path / 'copy') as place_map:
            place_map.check()
            place_map.search(unit_vectors(1)[0], 3)


def test_another_model_is_refused_with_both_fingerprints(tmp_path):
    random_map(tmp_path / 'map', 1)
    with PlaceMap.open(tmp_path / 'map') as place_map:
        place_map.require('model')
        text = refused(place_map.require, 'other', ['grid.num_cells is 2, the map has 7'])
        assert 'was made by model model, this is model other' in text
        assert 'grid.num_cells is 2, the map has 7' in text
        assert 'the weights differ' in refused(place_map.require, 'other')

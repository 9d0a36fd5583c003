"""What a map keeps of what is added, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from maps import DIM, KINDS, answers, created, refused, sql
from samples import keyframes, unit_vectors

from cerfevpr_core.place_map import Keyframe, Manifest, PlaceMap


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


def test_a_map_is_never_made_over_another(tmp_path):
    created(tmp_path / 'map').close()
    assert f'there is a map at {tmp_path / "map"} already' in refused(created, tmp_path / 'map')
    (tmp_path / 'file').write_text('hello')
    assert f'no map can be written at {tmp_path / "file"}' in refused(created, tmp_path / 'file')

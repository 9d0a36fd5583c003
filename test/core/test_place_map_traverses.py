"""Several traverses in one map, and a search that is held to some of them."""

from __future__ import annotations

import numpy as np
import pytest
from maps import KINDS, created, refused
from samples import keyframes, unit_vectors

from cerfevpr_core.place_map import Keyframe, Manifest, PlaceMap


@pytest.mark.parametrize('kind', KINDS)
def test_a_search_finds_what_is_nearest_in_the_traverses_that_are_named(tmp_path, kind):
    vectors = unit_vectors(60)
    query = unit_vectors(1, seed=5)[0]
    with created(tmp_path / 'map', kind) as place_map:
        for start, name in ((0, 'day'), (20, 'night'), (40, '')):
            place_map.add(keyframes(vectors[start : start + 20], traverse=name))
        assert place_map.traverses() == ['', 'day', 'night']

        def found(*names: str) -> list[int]:
            return [c.keyframe_id for c in place_map.search(query, 60, names)]

        order = 1 + np.argsort(-(vectors @ query))
        assert sorted(found()) == list(range(1, 61))
        assert found('night') == [i for i in order if 20 < i <= 40]
        assert found('', 'day') == [i for i in order if i <= 20 or i > 40]
        place_map.remove([int(found('night')[0])])
        assert len(found('night')) == 19
        place_map.add(keyframes(query[None], traverse='night'))
        assert found('night')[0] == 61


def test_an_unknown_traverse_is_refused_with_those_there_are(tmp_path):
    with created(tmp_path / 'map') as place_map:
        place_map.add(keyframes(unit_vectors(3), traverse='day'))
        text = refused(place_map.search, unit_vectors(1)[0], 3, ['day', 'dusk'])
        assert "has no traverse 'dusk'; it has 'day'" in text and 'map.traverses' in text
        place_map.add(keyframes(unit_vectors(1), traverse='dusk'))
        assert len(place_map.search(unit_vectors(1)[0], 9, ['day', 'dusk'])) == 4
        with PlaceMap.open(place_map.folder) as other:
            assert 'no traverse' in refused(other.search, unit_vectors(1)[0], 3, ['night'])


@pytest.mark.parametrize('kind', KINDS)
def test_a_traverse_that_vanishes_is_said_once_and_the_others_are_searched(tmp_path, kind, caplog):
    vectors, query = unit_vectors(9), unit_vectors(1, seed=5)[0]
    with created(tmp_path / 'map', kind) as place_map, PlaceMap.open(place_map.folder) as writer:
        for start, name in ((0, 'day'), (3, 'night'), (6, 'dusk')):
            writer.add(keyframes(vectors[start : start + 3], traverse=name))

        def found(*names: str) -> set[int]:
            return {c.keyframe_id for c in place_map.search(query, 9, names)}

        assert found('day', 'night') == {1, 2, 3, 4, 5, 6}
        writer.remove([4, 5, 6])
        assert found('day', 'night') == found('day', 'night') == {1, 2, 3}
        assert caplog.text.count("no keyframe of the traverse 'night' any more") == 1
        assert found('night') == set()  # never those that were not asked for
        refused(place_map.require_traverses, ['night'])  # a new choice is checked
        writer.add(keyframes(vectors[:1], traverse='night'))
        assert found('night') == {10}
        writer.remove([10])
        assert found('night') == set()
        assert caplog.text.count("'night' any more") == 2
        with PlaceMap.open(place_map.folder) as fresh:
            assert "no traverse 'night'" in refused(fresh.search, query, 9, ['night'])


def test_a_keyframe_of_another_traverse_with_many_descriptors_hides_none(tmp_path):
    base = unit_vectors(1)
    near = base + 0.01 * unit_vectors(30, seed=1)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    with created(tmp_path / 'map') as place_map:
        place_map.add([Keyframe('many', near, traverse='day')])
        place_map.add(keyframes(unit_vectors(3, seed=2), traverse='night'))
        found = place_map.search(base[0], 2, ['night'])
    assert len(found) == 2 and {c.traverse for c in found} == {'night'}


@pytest.mark.slow
def test_a_large_map_with_ivfpq_is_held_to_a_small_traverse(tmp_path):
    manifest = Manifest('model', {}, 16)
    with PlaceMap.create(tmp_path / 'map', manifest, 'ivfpq') as place_map:
        place_map.add(keyframes(unit_vectors(2500), traverse='day'))
        place_map.add(keyframes(unit_vectors(5, seed=1), traverse='night'))
    with PlaceMap.open(tmp_path / 'map', 'ivfpq') as place_map:
        assert place_map.derived.index.kind == 'ivfpq'
        for query in unit_vectors(10, seed=2):
            assert len(place_map.search(query, 5, ['night'])) == 5
        query = unit_vectors(2500)[7]
        before = [c.keyframe_id for c in place_map.search(query, 9)]
        place_map.remove([8])
        assert before[0] == 8
        assert [c.keyframe_id for c in place_map.search(query, 8)] == before[1:]

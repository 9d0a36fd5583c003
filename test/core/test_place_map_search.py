"""What a map finds: the nearest keyframes, with all that is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from maps import KINDS, created
from samples import keyframes, unit_vectors

from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.place_map import Keyframe, PlaceMap


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

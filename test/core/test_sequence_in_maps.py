"""The sequence filter beside a map: what comes in, what goes out, and a map that changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from samples import unit_vectors

from cerfevpr_core.config import SequenceConfig
from cerfevpr_core.geometry import Pose
from cerfevpr_core.place_map import Keyframe, Manifest, PlaceMap
from cerfevpr_core.sequence import KeyframeTable, SequenceFilter

DIM, SIZE = 32, 60


@pytest.fixture
def places() -> np.ndarray:
    """Of a street: each descriptor has much of the next one's."""
    steps = unit_vectors(SIZE + 1, DIM, seed=3)
    smooth = steps[:-1] + 0.7 * steps[1:]
    return (smooth / np.linalg.norm(smooth, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(params=['flat', 'hnsw'])
def place_map(request, tmp_path, places):
    with PlaceMap.create(
        tmp_path / 'map', Manifest('model', {'method': 'grid'}, DIM), request.param
    ) as made:
        made.add(keyframes(places, 'day'))
        yield made


def keyframes(vectors: np.ndarray, traverse: str) -> list[Keyframe]:
    return [Keyframe(f'{n}.jpg', v[None], traverse=traverse) for n, v in enumerate(vectors)]


def seen(places: np.ndarray, row: int, rng: np.random.Generator, noise: float = 2.0) -> np.ndarray:
    """An image's descriptor, little like that of its place."""
    found = places[row] + noise * rng.normal(size=DIM).astype(np.float32) / DIM**0.5
    return (found / np.linalg.norm(found)).astype(np.float32)


def test_similarities_are_those_of_a_search_over_everything(place_map, places) -> None:
    ids, similarities = place_map.similarities(places[7])
    found = {c.keyframe_id: c.similarity for c in place_map.search(places[7], SIZE)}
    assert ids.tolist() == sorted(found)
    np.testing.assert_allclose(similarities, [found[i] for i in ids.tolist()], atol=1e-5)


def test_the_best_of_a_keyframes_descriptors_counts(tmp_path, places) -> None:
    with PlaceMap.create(tmp_path / 'map', Manifest('model', {'method': 'grid'}, DIM)) as made:
        made.add([Keyframe('a', places[:2]), Keyframe('b', places[5:6])])
        _, similarities = made.similarities(places[0])
    assert similarities[0] == pytest.approx(1, abs=1e-5)


def test_candidates_come_in_the_order_of_the_belief_and_new_ones_may_come_in(
    place_map, places
) -> None:
    sequence, rng = SequenceFilter(SequenceConfig(), place_map), np.random.default_rng(0)
    right = alone = came_in = 0
    for row in range(SIZE):
        descriptor = seen(places, row, rng)
        candidates = place_map.search(descriptor, 5)
        followed = sequence.follow(descriptor, candidates)
        names = [c.name for c in followed.candidates]
        assert len(names) == len(set(names)) == 5
        assert all(0 <= c.belief <= 1 for c in followed.candidates)
        assert 0 < followed.nowhere < 1
        right += abs(int(names[0].split('.')[0]) - row) <= 1
        alone += abs(int(candidates[0].name.split('.')[0]) - row) <= 1
        came_in += not set(names) <= {c.name for c in candidates}
    assert right >= alone + 5
    assert came_in > 0
    similarities = dict(
        zip(*(a.tolist() for a in place_map.similarities(descriptor)), strict=True)
    )
    for candidate in followed.candidates:
        assert candidate.similarity == pytest.approx(similarities[candidate.keyframe_id], abs=1e-5)


def test_the_belief_lives_on_when_the_map_grows_and_shrinks(place_map, places) -> None:
    sequence, rng = SequenceFilter(SequenceConfig(), place_map), np.random.default_rng(0)
    for row in range(20):
        sequence.follow(descriptor := seen(places, row, rng, 0.4), place_map.search(descriptor, 5))
    place_map.add(keyframes(unit_vectors(30, DIM, seed=9), 'later'))
    place_map.remove([3, 4, 5])
    unclear = np.full(DIM, DIM**-0.5, np.float32)  # says nothing: only the past counts
    followed = sequence.follow(unclear, place_map.search(unclear, 5))
    believed = max(followed.candidates, key=lambda c: c.belief)
    assert abs(int(believed.name.split('.')[0]) - 20) <= 2
    assert believed.traverse == 'day'


def test_only_keyframes_of_the_chosen_traverses_are_believed(place_map, places) -> None:
    place_map.add(keyframes(places, 'night'))
    sequence = SequenceFilter(SequenceConfig(), place_map, ('night',))
    for row in range(10):
        found = place_map.search(places[row], 5, ('night',))
        followed = sequence.follow(places[row], found)
        assert {c.traverse for c in followed.candidates} == {'night'}
    assert followed.candidates[0].name == '9.jpg'


def test_forgetting_starts_again(place_map, places) -> None:
    sequence = SequenceFilter(SequenceConfig(), place_map)
    first = sequence.follow(places[0], place_map.search(places[0], 5))
    sequence.follow(places[1], place_map.search(places[1], 5))
    sequence.forget()
    again = sequence.follow(places[0], place_map.search(places[0], 5))
    assert again == first


def test_an_empty_map_is_nowhere(tmp_path, places) -> None:
    with PlaceMap.create(tmp_path / 'map', Manifest('model', {'method': 'grid'}, DIM)) as made:
        followed = SequenceFilter(SequenceConfig(), made).follow(places[0], [])
    assert (followed.candidates, followed.nowhere) == ([], 1.0)


@pytest.mark.usefixtures('cache')
def test_evaluate_knows_sequences_by_their_suffix(run, pictures, tiny, tmp_path: Path) -> None:
    file = tmp_path / 'scores.json'
    arguments = ('--database', pictures, '--queries', pictures, '--frame-tolerance', 0)
    methods = 'grid,grid+sequence,grid+act+sequence'
    code, told, _ = run('evaluate', *arguments, '--methods', methods, '--json', file, *tiny)
    assert code == 0, told
    scores = json.loads(file.read_text())['methods']
    assert [each['name'] for each in scores] == methods.split(',')
    assert [each['recall']['1'] for each in scores] == [100, 100, 100]
    assert scores[0]['sequence_ms_p50'] == 0 < scores[1]['sequence_ms_p50']


def test_similarities_leave_out_what_was_removed(place_map, places) -> None:
    place_map.remove([1, 30])
    ids, similarities = place_map.similarities(places[7])
    found = {c.keyframe_id: c.similarity for c in place_map.search(places[7], SIZE)}
    assert ids.tolist() == sorted(found)
    assert not {1, 30} & set(ids.tolist())
    np.testing.assert_allclose(similarities, [found[i] for i in ids.tolist()], atol=1e-5)


def test_a_map_emptied_between_two_looks_at_it_says_nothing(place_map, places) -> None:
    sequence = SequenceFilter(SequenceConfig(), place_map)
    place_map.remove(range(1, SIZE + 1))
    assert np.isnan(sequence._similarities(places[0])).all()


def test_a_table_has_the_poses_of_its_keyframes_and_none_where_there_is_none(tmp_path) -> None:
    turns = unit_vectors(6, 4, seed=5).astype(float)
    poses = [Pose((float(n), 2.0, -n / 3), tuple(turn)) for n, turn in enumerate(turns)]
    given = [*poses[:3], None, *poses[3:]]
    with PlaceMap.create(tmp_path / 'map', Manifest('model', {'method': 'grid'}, DIM)) as made:
        vectors = unit_vectors(len(given), DIM)
        made.add(
            Keyframe(f'{n}', v[None], pose=p)
            for n, (v, p) in enumerate(zip(vectors, given, strict=True))
        )
        everything = made.store.everything()
        assert everything == made.store.candidates((c.keyframe_id, 0.0) for c in everything)
        table = KeyframeTable.of(everything)
    assert table.has_pose.tolist() == [pose is not None for pose in given]
    expected = np.stack([pose.matrix() for pose in poses])
    np.testing.assert_allclose(table.poses[table.has_pose], expected, atol=1e-6)

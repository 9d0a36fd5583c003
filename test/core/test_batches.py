"""What is in a batch of the training, and how many variants it keeps."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from cerfevpr_core.config import TrainConfig
from cerfevpr_core.data.places import Place
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.training.batches import Batches, share


def places(count: int, num_images: int = 4, apart_m: float = 100.0) -> list[Place]:
    files = [Path(f'{i}.jpg') for i in range(num_images)]
    return [Place(str(i), tuple(files), (apart_m * i, 0.0), 'town') for i in range(count)]


def test_a_batch_holds_so_many_images_of_so_many_places() -> None:
    batches = list(Batches(places(10), TrainConfig(num_places=3, images_per_place=4)).epoch(0))
    assert len(batches) == 3
    for batch in batches:
        assert len({s.place for s in batch}) == 3
        assert all(sum(s.place == p for s in batch) == 4 for p in {s.place for s in batch})
    everything = [s.place for batch in batches for s in batch[::4]]
    assert len(set(everything)) == 9  # an epoch sees each place once


def test_images_of_a_place_repeat_only_where_it_has_too_few() -> None:
    train = TrainConfig(num_places=2, images_per_place=4)
    for num_images, distinct in ((6, 4), (3, 3)):
        batch = next(Batches(places(2, num_images), train).epoch(0))
        assert len({s.image for s in batch[:4]}) == distinct


def test_batches_depend_on_seed_epoch_and_step_alone() -> None:
    train = TrainConfig(num_places=3)
    whole = list(Batches(places(9), train).epoch(2))
    assert list(Batches(places(9), train).epoch(2, first=1)) == whole[1:]
    assert list(Batches(places(9), train).epoch(3)) != whole
    assert list(Batches(places(9), TrainConfig(num_places=3, seed=1)).epoch(2)) != whole


def test_the_shares_of_the_processes_are_the_batch() -> None:
    batch = next(Batches(places(9), TrainConfig(num_places=6)).epoch(0))
    assert [s for rank in range(3) for s in share(batch, rank, 3)] == batch


def test_near_places_never_share_a_batch() -> None:
    near = places(12, apart_m=6.0)
    train = TrainConfig(num_places=4, apart_m=10.0, steps_per_epoch=20)
    for batch in Batches(near, train).epoch(0):
        xs = sorted(near[s.place].position_m[0] for s in batch[::4])
        assert min(b - a for a, b in pairwise(xs)) >= 10


def test_a_batch_that_cannot_be_filled_is_smaller_and_says_so(caplog) -> None:
    batch = next(Batches(places(4, apart_m=6.0), TrainConfig(num_places=4)).epoch(0))
    assert len(batch) == 2 * 4
    assert 'batches hold 2 places, not train.num_places = 4' in caplog.text
    with pytest.raises(ConfigError, match='1 places for a batch on 1 devices; expected two'):
        next(Batches(places(4, apart_m=1.0), TrainConfig(num_places=4)).epoch(0))


def test_more_steps_than_places_shuffle_anew() -> None:
    train = TrainConfig(num_places=2, steps_per_epoch=7)
    batches = list(Batches(places(4), train).epoch(0))
    assert len(batches) == 7
    assert {s.place for b in batches for s in b} == {0, 1, 2, 3}


def test_variant_dropout_leaves_every_number_of_variants_and_one_in_a_batch() -> None:
    train = TrainConfig(num_places=2, steps_per_epoch=40, variant_dropout=0.5)
    batches = list(Batches(places(4), train, num_conditions=2).epoch(0))
    numbers = [{s.num_kept for s in batch} for batch in batches]
    assert all(len(n) == 1 for n in numbers)
    assert {n.pop() for n in numbers} == {0, 1, 2}


def test_a_training_with_variants_sees_the_images_of_one_without() -> None:
    train = TrainConfig(num_places=2, steps_per_epoch=5)
    seen = [
        [
            (s.place, s.image, s.seed)
            for batch in Batches(places(4), train, n).epoch(0)
            for s in batch
        ]
        for n in (0, 2)
    ]
    assert seen[0] == seen[1]

"""Which images make which batch: places x images, known from seed, epoch and step alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.config import TrainConfig
from cerfevpr_core.data.places import Place
from cerfevpr_core.errors import ConfigError

log = logging.getLogger(__name__)

_ORDER, _IMAGES, _VARIANTS = 1, 2, 4  # keep apart what is drawn from one seed


@dataclass(frozen=True)
class Sample:
    """One image of a batch. `seed` is for its augmentation and its variants."""

    place: int
    image: int  # its number within the place
    num_kept: int  # variants that remain beside the original
    seed: int


class Batches:
    """The batches of an epoch, all the same whichever process asks and wherever it starts.

    Places that lie nearer than `apart_m` never share a batch: their images may overlap, and the
    loss would push them apart. With `shares`, by source, each source has its share of every batch.
    """

    def __init__(
        self,
        places: Sequence[Place],
        config: TrainConfig,
        num_conditions: int = 0,
        num_processes: int = 1,
        shares: Mapping[str, float] | None = None,
    ) -> None:
        self.places, self.config, self.num_conditions = places, config, num_conditions
        self.num_processes = num_processes
        self.num_places = self._shared(min(config.num_places, len(places)))
        self.num_steps = config.steps_per_epoch or max(1, len(places) // self.num_places)
        self._groups = _groups(places)
        self._sources = _sources(places, shares or {}, self.num_places)
        self._warned = False

    def epoch(self, epoch: int, first: int = 0) -> Iterator[list[Sample]]:
        """The batches from step `first` on, images of a place next to each other."""
        for step, numbers in enumerate(self._places_of(epoch)):
            if step >= first:
                yield self._batch(numbers, epoch, step)

    def _places_of(self, epoch: int) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.config.seed, _ORDER, epoch])
        waiting: list[list[int]] = [[] for _ in self._sources]
        for _ in range(self.num_steps):
            chosen: list[int] = []
            for queue, (members, count) in zip(waiting, self._sources, strict=True):
                self._draw(chosen, len(chosen) + count, queue, members, rng)
            yield self._full(chosen)

    def _draw(
        self,
        chosen: list[int],
        wanted: int,
        queue: list[int],
        members: Sequence[int],
        rng: np.random.Generator,
    ) -> None:
        """Move places from a queue to a batch until it holds so many, or none of them fits."""
        for refill in (False, True):  # a fresh shuffle where the last one cannot fill a batch
            if refill:
                queue += [members[int(n)] for n in rng.permutation(len(members))]
            passed: list[int] = []
            while queue and len(chosen) < wanted:
                number = queue.pop(0)
                fits = number not in chosen and not self._too_near(number, chosen)
                (chosen if fits else passed).append(number)
            queue[:0] = passed
            if len(chosen) == wanted:
                break

    def _full(self, chosen: list[int]) -> list[int]:
        """A batch that is smaller than asked for is said once."""
        if len(chosen) < self.config.num_places and not self._warned:
            self._warned = True
            log.warning(
                'batches hold %d places, not train.num_places = %d: there are %d, and those in a '
                'batch lie train.apart_m = %g m apart',
                len(chosen),
                self.config.num_places,
                len(self.places),
                self.config.apart_m,
            )
        return chosen[: self._shared(len(chosen))]

    def _shared(self, count: int) -> int:
        """As many places as the processes can share evenly, two or more."""
        shared = count - count % self.num_processes
        if shared < 2:
            raise ConfigError(
                f'{count} places for a batch on {self.num_processes} devices; expected two or '
                'more: add places, lower train.apart_m, or use fewer --devices'
            )
        return shared

    def _too_near(self, number: int, chosen: list[int]) -> bool:
        group, position = self._groups[number]
        if group < 0:
            return False
        others = [self._groups[n][1] for n in chosen if self._groups[n][0] == group]
        if not others:
            return False
        nearest = np.linalg.norm(np.array(others) - position, axis=1).min()
        return bool(nearest < self.config.apart_m)

    def _batch(self, numbers: list[int], epoch: int, step: int) -> list[Sample]:
        rng = np.random.default_rng([self.config.seed, _IMAGES, epoch, step])
        num_kept = self._num_kept(epoch, step)
        samples = []
        for number in numbers:
            for image in _some(rng, len(self.places[number].files), self.config.images_per_place):
                seed = int(rng.integers(2**63))
                samples.append(Sample(number, image, num_kept, seed))
        return samples

    def _num_kept(self, epoch: int, step: int) -> int:
        """Variants of each image: one forward pass wants one number.

        Drawn apart, so that a training with variants sees the images of one without.
        """
        rng = np.random.default_rng([self.config.seed, _VARIANTS, epoch, step])
        keep = rng.random(self.num_conditions) >= self.config.variant_dropout
        return int(keep.sum())


def share(batch: list[Sample], rank: int, num_processes: int) -> list[Sample]:
    """The part of one process; all parts one after another are the batch."""
    size = len(batch) // num_processes
    return batch[rank * size : (rank + 1) * size]


def _some(rng: np.random.Generator, count: int, wanted: int) -> list[int]:
    """Different images as far as there are any, then some of them again."""
    order = [int(i) for i in rng.permutation(count)[:wanted]]
    return order + [int(i) for i in rng.integers(count, size=wanted - len(order))]


def _groups(places: Sequence[Place]) -> list[tuple[int, NDArray[np.float64]]]:
    """For each place the number of its frame, -1 without a position, and the position."""
    frames: dict[str, int] = {}
    return [
        (frames.setdefault(p.frame, len(frames)), np.array(p.position_m))
        if p.position_m
        else (-1, np.zeros(2))
        for p in places
    ]


def _sources(
    places: Sequence[Place], shares: Mapping[str, float], num_places: int
) -> list[tuple[list[int], int]]:
    """Each source's places, and how many of them a batch holds; without shares, one source."""
    if not shares:
        return [(list(range(len(places))), num_places)]
    members: dict[str, list[int]] = {source: [] for source in shares}
    for number, place in enumerate(places):
        members[place.source].append(number)
    exact = {s: shares[s] * num_places / sum(shares.values()) for s in shares if members[s]}
    counts = {source: int(count) for source, count in exact.items()}
    by_rest = sorted(exact, key=lambda source: counts[source] - exact[source])
    for source in by_rest[: num_places - sum(counts.values())]:
        counts[source] += 1
    return [(members[source], count) for source, count in counts.items() if count]

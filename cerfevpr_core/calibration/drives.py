"""Drives through a map, made of its own keyframes: how sure is a belief that follows images?

Keyframes that follow each other, all changed alike, are asked one after another with a belief of
their own: in the map, each while it is left out itself, and in a map without all that sees any
place of the drive. The way back is another drive, at another hour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.calibration.examples import (
    Asked,
    Example,
    MapKeyframes,
    Track,
    ask_changed,
    example,
)
from cerfevpr_core.calibration.same_place import SamePlace
from cerfevpr_core.describer import evenly
from cerfevpr_core.place_map import Candidate, PlaceMap
from cerfevpr_core.recognizer import PlaceRecognizer
from cerfevpr_core.sequence import SequenceFilter
from cerfevpr_core.sequence.keyframe_table import KeyframeTable

_LENGTH, _SHORTEST = 10, 5  # images of a drive
_FEWEST_LEFT = 10  # keyframes of a map without the places of a drive


def examples_of_drives(
    recognizer: PlaceRecognizer, same: SamePlace, number: int, seed: int, track: Track
) -> list[Example]:
    """Four examples for each of so many keyframes; none where a map has no order to follow."""
    config = recognizer.config
    if config.sequence.mode == 'never':
        return []
    store = recognizer.place_map.store
    keyframes = store.everything()
    around = MapKeyframes(keyframes, store.vectors(), same)
    there = drives_of(keyframes, number)
    drives = [way for drive in there for way in (drive, drive[::-1])]
    found: list[Example] = []
    for index, drive in enumerate(track(drives, 'calibrating drives', len(drives))):
        asked = [ask_changed(recognizer, keyframe, seed + index) for keyframe in drive]
        known = [(k, a) for k, a in zip(drive, asked, strict=True) if a is not None]
        for in_map in (True, False):
            found.extend(_drive(recognizer, known, around, in_map))
    return found


def drives_of(keyframes: Sequence[Candidate], number: int) -> list[list[Candidate]]:
    """Some `number` keyframes that follow each other by tens, evenly spread over the map."""
    pieces = [
        piece
        for run in KeyframeTable.of(keyframes).runs()
        for piece in np.array_split(run, max(1, len(run) // _LENGTH))
        if len(piece) >= _SHORTEST
    ]
    chosen = [pieces[i] for i in evenly(len(pieces), max(1, number // _LENGTH))]
    return [[keyframes[row] for row in piece] for piece in chosen]


def _drive(
    recognizer: PlaceRecognizer,
    drive: Sequence[tuple[Candidate, Asked]],
    around: MapKeyframes,
    in_map: bool,
) -> Iterator[Example]:
    gone = set[int]() if in_map else set().union(*(around.around(k) for k, _ in drive))
    part = PartOfMap(recognizer.place_map, gone)
    if len(part) < _FEWEST_LEFT:
        return
    belief = SequenceFilter(recognizer.config.sequence, part)
    for keyframe, asked in drive:
        part.hidden = around.beside(keyframe) if in_map else set()
        candidates = asked.answer(gone | part.hidden, belief)
        if candidates:
            yield example(keyframe, candidates, around.same, in_map)


class PartOfMap:
    """A map without some keyframes; others can be hidden for one image, but are still there."""

    def __init__(self, place_map: PlaceMap, without: set[int]) -> None:
        self.hidden = set[int]()
        self.generation = place_map.generation
        self._map, self._without = place_map, without
        self._keyframes = [k for k in place_map.store.everything() if k.keyframe_id not in without]

    def __len__(self) -> int:
        return len(self._keyframes)

    @property
    def store(self) -> PartOfMap:
        """What a place map would ask its store for."""
        return self

    def everything(self) -> list[Candidate]:
        """Its keyframes."""
        return self._keyframes

    def candidates(self, pairs: Iterable[tuple[int, float]]) -> list[Candidate]:
        """Keyframe ids and similarities -> candidates."""
        return self._map.store.candidates(pairs)

    def similarities(
        self, descriptor: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Of its keyframes (M,); of hidden ones NaN."""
        ids, similarities = self._map.similarities(descriptor)
        hidden = np.isin(ids, list(self.hidden))
        there = ~np.isin(ids, list(self._without))
        return ids[there], np.where(hidden, np.nan, similarities)[there]

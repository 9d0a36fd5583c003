"""Folders on disk -> the places to train on, whatever the layout."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cerfevpr_core.config import TrainConfig
from cerfevpr_core.data.places.folders import read_folders, read_images, subfolders
from cerfevpr_core.data.places.gsv_cities import read_gsv_cities
from cerfevpr_core.data.places.place import Place, PlaceSet, with_two_images
from cerfevpr_core.data.places.positions import has_positions, read_traverses
from cerfevpr_core.data.places.train_places import read_getty, read_ie_tower, read_iiith_campus
from cerfevpr_core.errors import ConfigError

log = logging.getLogger(__name__)

Layout = Literal[
    'auto', 'folders', 'positions', 'gsv_cities', 'getty', 'ie_tower', 'iiith_campus', 'images'
]

ONE_IMAGE = 'places with fewer than two images'
HELD_OUT = 'images that the validation shows'
NO_FILE = 'images that are listed but not there or without a position'


@dataclass(frozen=True)
class Source:
    """A folder to learn from, how it is laid out, and its share of every batch, if given."""

    root: Path
    layout: Layout = 'auto'
    share: float | None = None


def read_places(
    sources: Sequence[Source],
    config: TrainConfig,
    held_out: frozenset[Path] = frozenset(),
) -> PlaceSet:
    """The places of all folders; those with one image, and held-out files, are left out.

    Of a source laid out as `images` each image is a place of its own, whose renditions differ
    by augmentation alone. Raises ConfigError or ImageError where a folder cannot be read or no
    place is left.
    """
    places: list[Place] = []
    left_out: Counter[str] = Counter()
    for number, source in enumerate(sources):
        found, num_missing = _read(source.root, config, source.layout)
        free = [_without(place, held_out) for place in found]
        kept, num_single = with_two_images(free)
        if source.layout == 'images':
            kept, num_single = [place for place in free if place.files], 0
        places += [replace(place, source=str(number)) for place in kept]
        num_held_out = sum(len(place.files) for place in found)
        num_held_out -= sum(len(place.files) for place in free)
        left_out.update({ONE_IMAGE: num_single, NO_FILE: num_missing, HELD_OUT: num_held_out})
    for reason, count in left_out.items():
        if count:
            log.warning('left out: %d %s', count, reason)
    if len(places) < 2:
        raise ConfigError(
            f'{len(places)} places with two images or more are left of '
            f'{", ".join(str(s.root) for s in sources)}; expected two places or more '
            f'({left_out[ONE_IMAGE]} have fewer: add images, or widen train.radius_m)'
        )
    return PlaceSet(tuple(places), dict(left_out), _shares(sources))


def _shares(sources: Sequence[Source]) -> dict[str, float]:
    """By source; where some have none given, each of those counts 1."""
    if all(source.share is None for source in sources):
        return {}
    return {
        str(number): 1.0 if source.share is None else source.share
        for number, source in enumerate(sources)
    }


def _without(place: Place, held_out: frozenset[Path]) -> Place:
    if not held_out:
        return place
    return replace(place, files=tuple(f for f in place.files if f.resolve() not in held_out))


def find_layout(root: Path) -> Layout:
    """The layout of a folder, by the files that only that layout has."""
    if (root / 'Dataframes').is_dir() and (root / 'Images').is_dir():
        return 'gsv_cities'
    if (root / 'train.csv').is_file() and (root / 'train').is_dir():
        return 'getty'
    if (root / 'dataset.csv').is_file():
        return 'ie_tower'
    if (root / 'labels_val.csv').is_file():
        return 'iiith_campus'
    if has_positions(root) or any(has_positions(f) for f in subfolders(root)):
        return 'positions'
    return 'folders'


def _read(root: Path, config: TrainConfig, layout: Layout) -> tuple[list[Place], int]:
    layout = find_layout(root) if layout == 'auto' else layout
    if layout == 'gsv_cities':
        return read_gsv_cities(root)
    if layout == 'getty':
        log.info('%s has views to all sides of a spot: --check-overlap tells them apart', root)
        return read_getty(root, config)
    if layout == 'ie_tower':
        return read_ie_tower(root)
    if layout == 'iiith_campus':
        return read_iiith_campus(root, config)
    if layout == 'positions':
        return read_traverses(root, config)
    if layout == 'images':
        return read_images(root), 0
    return read_folders(root), 0

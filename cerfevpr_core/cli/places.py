"""What a training and an ablation learn from: places, images, and what is held out of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from cerfevpr_core.cli.options import track
from cerfevpr_core.errors import ConfigError

if TYPE_CHECKING:
    from cerfevpr_core.config import Config
    from cerfevpr_core.data.places import Layout, PlaceSet, Source
    from cerfevpr_core.training.validation import Traverse

_LAYOUTS = ('auto', 'folders', 'positions', 'gsv_cities', 'getty', 'ie_tower', 'iiith_campus')
_SHARE = '; =N behind it: its share of every batch'


def add_places(parser: argparse.ArgumentParser) -> None:
    """--places, --images and --validation, and how they are read."""
    parser.add_argument(
        '--places',
        action='append',
        default=[],
        metavar='DIR[=N]',
        help=f'a folder of places, or of traverses with poses; may be repeated{_SHARE}',
    )
    parser.add_argument(
        '--images',
        action='append',
        default=[],
        metavar='DIR[=N]',
        help=f'images of which each is a place of its own; may be repeated{_SHARE}',
    )
    parser.add_argument('--layout', choices=_LAYOUTS, default='auto')
    parser.add_argument(
        '--validation',
        type=Path,
        action='append',
        default=[],
        metavar='DIR',
        help='a held-out traverse: database/, queries/, positions.csv; may be repeated',
    )
    parser.add_argument(
        '--check-overlap',
        type=Path,
        metavar='FILE',
        help='leave out images that do not overlap their place; FILE keeps what was compared',
    )


def read_places_of(options: argparse.Namespace, config: Config) -> tuple[PlaceSet, list[Traverse]]:
    """The places without the images that are held out for validation."""
    from cerfevpr_core.data.places import keep_overlapping, read_places
    from cerfevpr_core.training.validation import held_out, read_traverse

    radius_m = config.train.validation_radius_m
    validation = [read_traverse(folder, radius_m) for folder in options.validation]
    sources = [_source(text, options.layout) for text in options.places]
    sources += [_source(text, 'images') for text in options.images]
    if not sources:
        raise ConfigError('nothing to learn from; give --places DIR or --images DIR')
    places = read_places(sources, config.train, held_out(validation))
    if options.check_overlap:
        places = keep_overlapping(places, config.train.min_inliers, options.check_overlap, track)
    return places, validation


def _source(text: str, layout: Layout) -> Source:
    """`DIR` or `DIR=SHARE`. Raises ConfigError for a share that is none."""
    from cerfevpr_core.data.places import Source

    folder, equals, share = text.rpartition('=')
    if not equals or Path(text).is_dir():
        return Source(Path(text), layout)
    try:
        number = float(share)
    except ValueError:
        number = 0.0
    if not 0 < number < float('inf'):
        raise ConfigError(f'{text}: expected DIR=SHARE with a share above 0, as places=2')
    return Source(Path(folder), layout, number)

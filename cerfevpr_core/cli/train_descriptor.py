"""cerfevpr train descriptor, and cerfevpr train places: what it would train on."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerfevpr_core.cli.options import STDERR, STDOUT, add_settings, config_of, track
from cerfevpr_core.errors import ConfigError

if TYPE_CHECKING:
    from cerfevpr_core.config import Config
    from cerfevpr_core.data.places import Layout, PlaceSet, Source
    from cerfevpr_core.training.validation import Traverse

_LAYOUTS = ('auto', 'folders', 'positions', 'gsv_cities', 'getty', 'ie_tower', 'iiith_campus')
_SHARE = '; =N behind it: its share of every batch'


def add_action(actions: Any) -> None:
    """Put `descriptor` and `places` under `cerfevpr train`."""
    parser = actions.add_parser('descriptor', help='the descriptor, from places')
    _add_places(parser)
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='what is trained')
    parser.add_argument('--epochs', type=int, metavar='N', help='as --set train.epochs=N')
    parser.add_argument('--resume', action='store_true', help='go on from the checkpoint in --out')
    parser.add_argument('--devices', type=int, default=1, metavar='N', help='GPUs, or processes')
    add_settings(parser)
    parser.set_defaults(run=_train)
    listing = actions.add_parser('places', help='list the places that a training would see')
    _add_places(listing)
    add_settings(listing)
    listing.set_defaults(run=_list)


def _add_places(parser: argparse.ArgumentParser) -> None:
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


def _train(options: argparse.Namespace) -> None:
    from cerfevpr_core.training.descriptor import Watch, train_descriptor
    from cerfevpr_core.training.processes import is_first

    if not is_first():
        logging.getLogger().setLevel(logging.ERROR)
    if options.epochs is not None:
        options.assignments.append(f'train.epochs={options.epochs}')
    config = config_of(options)
    places, validation = _read(options, config)
    progress = train_descriptor(
        places,
        options.out,
        config,
        validation=validation,
        resume=options.resume,
        num_processes=options.devices,
        watch=Watch(track, STDERR.print),
    )
    if is_first():
        STDOUT.print(
            f'{progress.epoch} epochs, the best is {progress.best_epoch} -> '
            f'{options.out / "best.safetensors"}',
            soft_wrap=True,
        )


def _list(options: argparse.Namespace) -> None:
    places, _ = _read(options, config_of(options))
    for place in places.places:
        where = '' if place.position_m is None else ' at {:.1f}, {:.1f}'.format(*place.position_m)
        print(f'{place.name}: {len(place.files)} images{where}')
    print(places.summary())


def _read(options: argparse.Namespace, config: Config) -> tuple[PlaceSet, list[Traverse]]:
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

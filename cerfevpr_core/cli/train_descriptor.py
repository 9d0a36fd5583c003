"""cerfevpr train descriptor, and cerfevpr train places: what it would train on."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

from cerfevpr_core.cli.options import STDERR, STDOUT, add_settings, config_of, track
from cerfevpr_core.cli.places import add_places, read_places_of


def add_action(actions: Any) -> None:
    """Put `descriptor` and `places` under `cerfevpr train`."""
    parser = actions.add_parser('descriptor', help='the descriptor, from places')
    add_places(parser)
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='what is trained')
    parser.add_argument('--epochs', type=int, metavar='N', help='as --set train.epochs=N')
    parser.add_argument('--resume', action='store_true', help='go on from the checkpoint in --out')
    parser.add_argument('--devices', type=int, default=1, metavar='N', help='GPUs, or processes')
    add_settings(parser)
    parser.set_defaults(run=_train)
    listing = actions.add_parser('places', help='list the places that a training would see')
    add_places(listing)
    add_settings(listing)
    listing.set_defaults(run=_list)


def _train(options: argparse.Namespace) -> None:
    from cerfevpr_core.training.descriptor import train_descriptor
    from cerfevpr_core.training.processes import is_first
    from cerfevpr_core.training.watch import Watch

    if not is_first():
        logging.getLogger().setLevel(logging.ERROR)
    if options.epochs is not None:
        options.assignments.append(f'train.epochs={options.epochs}')
    config = config_of(options)
    places, validation = read_places_of(options, config)
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
    places, _ = read_places_of(options, config_of(options))
    for place in places.places:
        where = '' if place.position_m is None else ' at {:.1f}, {:.1f}'.format(*place.position_m)
        print(f'{place.name}: {len(place.files)} images{where}')
    print(places.summary())

"""cerfevpr train landmarks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cerfevpr_core.cli.options import STDERR, STDOUT, add_settings, config_of, track
from cerfevpr_core.cli.places import add_places, read_places_of


def add_action(actions: Any) -> None:
    """Put `landmarks` under `cerfevpr train`."""
    parser = actions.add_parser('landmarks', help='the landmark network, from places')
    add_places(parser)
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='what is trained')
    parser.add_argument('--epochs', type=int, metavar='N', help='as --set lln.epochs=N')
    parser.add_argument('--resume', action='store_true', help='go on from the checkpoint in --out')
    add_settings(parser)
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    from cerfevpr_core.model import device_of, load_model
    from cerfevpr_core.trained import settled
    from cerfevpr_core.training.landmarks import train_landmarks
    from cerfevpr_core.training.watch import Watch

    if options.epochs is not None:
        options.assignments.append(f'lln.epochs={options.epochs}')
    config = settled(config_of(options))
    places, validation = read_places_of(options, config)
    progress = train_landmarks(
        places,
        options.out,
        config,
        load_model(config).to(device_of(config)),
        validation=validation,
        resume=options.resume,
        watch=Watch(track, STDERR.print),
    )
    STDOUT.print(
        f'{progress.epoch} epochs, the best is {progress.best_epoch} -> '
        f'{options.out / "best.safetensors"}',
        soft_wrap=True,
    )

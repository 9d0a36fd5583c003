"""cerfevpr train gan: season generators from two folders of unpaired images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cerfevpr_core.cli.options import add_settings, config_of, losses_bar, typed
from cerfevpr_core.errors import ConfigError


def add_action(actions: Any) -> None:
    """Put `gan` under `cerfevpr train`."""
    parser = actions.add_parser('gan', help='season generators, from two folders of images')
    parser.add_argument('--domain-a', type=Path, required=True, metavar='DIR', help='as summer')
    parser.add_argument('--domain-b', type=Path, required=True, metavar='DIR', help='as winter')
    parser.add_argument(
        '--names', default='summer,winter', metavar='A,B', help='of the two conditions'
    )
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='what is trained')
    parser.add_argument('--steps', type=int, metavar='N', help='the same as --set gan.steps=N')
    parser.add_argument('--resume', action='store_true', help='go on from the checkpoint in --out')
    parser.add_argument(
        '--start', type=Path, metavar='DIR', help='begin with the networks of another training'
    )
    add_settings(parser)
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    from cerfevpr_core.model import device_of
    from cerfevpr_core.training.gan import UnpairedDomains, train_gan

    if options.steps is not None:
        options.assignments.append(f'gan.steps={options.steps}')
    config = config_of(options)
    names = _names(options.names)
    domains = UnpairedDomains(options.domain_a, options.domain_b, names)
    device = device_of(config)
    notes = {'command': typed(), 'device': str(device)}
    with losses_bar('training') as progress:
        train_gan(
            domains,
            options.out,
            config.gan,
            device,
            options.resume,
            options.start,
            notes,
            progress,
        )
    print(f'{names[0]}.safetensors, {names[1]}.safetensors and sample sheets -> {options.out}')


def _names(text: str) -> tuple[str, str]:
    names = [name.strip() for name in text.split(',')]
    plain = all(name and name.replace('_', '').isalnum() for name in names)
    if len(names) != 2 or not plain or names[0] == names[1]:
        raise ConfigError(f'--names {text}: expected two different words, as summer,winter')
    return names[0], names[1]

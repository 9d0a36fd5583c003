"""cerfevpr ablate stages|placements|dimensions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerfevpr_core.cli.options import STDERR, STDOUT, add_settings, config_of, track, typed
from cerfevpr_core.cli.places import add_places, read_places_of
from cerfevpr_core.errors import ConfigError

if TYPE_CHECKING:
    from cerfevpr_core.ablation.record import Record
    from cerfevpr_core.ablation.versions import Versions
    from cerfevpr_core.config import Config
    from cerfevpr_core.data.places import PlaceSet
    from cerfevpr_core.training.validation import Traverse


def add_commands(commands: Any) -> None:
    """Put the commands of this file under the program's."""
    parser = commands.add_parser('ablate', help='what each part of the method gains')
    actions = parser.add_subparsers(required=True, metavar='TABLE')
    stages = actions.add_parser('stages', help='without variants, pyramid, words, encoder')
    _add_options(stages)
    stages.set_defaults(run=_stages)
    placements = actions.add_parser('placements', help='adapter placements under a GeM head')
    _add_options(placements)
    placements.set_defaults(run=_placements)
    for each in (stages, placements):
        each.add_argument('--versions', default='', metavar='A,B', help='these and the first')
    dimensions = actions.add_parser('dimensions', help='smaller descriptors, by PCA')
    _add_options(dimensions)
    dimensions.add_argument('--sizes', metavar='N,N', help='64,128,256,512,1024 if left out')
    dimensions.set_defaults(run=_dimensions)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_places(parser)
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='tables, networks')
    add_settings(parser)


def _stages(options: argparse.Namespace) -> None:
    from cerfevpr_core.ablation.versions import chosen, stages

    config = config_of(options)
    _compare('stages', options, config, chosen(stages(config), options.versions))


def _placements(options: argparse.Namespace) -> None:
    from cerfevpr_core.ablation.versions import chosen, placements

    config = config_of(options)
    _compare('placements', options, config, chosen(placements(config), options.versions))


def _compare(
    ablation: str, options: argparse.Namespace, config: Config, versions: Versions
) -> None:
    from cerfevpr_core.ablation.compare import compare
    from cerfevpr_core.training.watch import Watch

    places, traverses = _read(options, config)
    watch = Watch(track, STDERR.print)
    _show(
        compare(
            ablation,
            config,
            versions,
            places,
            traverses,
            options.out,
            command=typed(),
            watch=watch,
        )
    )


def _dimensions(options: argparse.Namespace) -> None:
    from cerfevpr_core.ablation.dimensions import SIZES, compare_sizes
    from cerfevpr_core.training.watch import Watch

    config = config_of(options)
    sizes = SIZES if options.sizes is None else _sizes(options.sizes)
    places, traverses = _read(options, config)
    watch = Watch(track, STDERR.print)
    _show(
        compare_sizes(config, sizes, places, traverses, options.out, command=typed(), watch=watch)
    )


def _read(options: argparse.Namespace, config: Config) -> tuple[PlaceSet, list[Traverse]]:
    if not options.validation:
        raise ConfigError('nothing to measure on; give --validation DIR')
    names = [folder.resolve().name for folder in options.validation]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f'two --validation folders are called {twice[0]}; rename one')
    return read_places_of(options, config)


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.split(','))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise ConfigError(f'--sizes {text}: expected whole numbers from 1, as 64,128')
    return sizes


def _show(record: Record) -> None:
    from cerfevpr_core.ablation.page import table

    print('\n'.join(table(record.versions)))
    STDOUT.print(f'{record.file} and {record.out / "ablation.md"}', soft_wrap=True)

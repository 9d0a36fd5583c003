"""cerfevpr bench poses."""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cerfevpr_core.cli.options import add_settings, config_of, track, typed, write_json
from cerfevpr_core.config import settings
from cerfevpr_core.errors import ConfigError


def add_command(actions: Any) -> None:
    """Put the command under `bench`."""
    poses = actions.add_parser(
        'poses', help='published poses of a drawn street: how many, how right, how sure'
    )
    poses.add_argument('--seed', type=int, default=0, metavar='N', help='of the mapped street')
    poses.add_argument('--frames', type=int, default=160, metavar='N', help='of each street')
    poses.add_argument(
        '--every', type=int, default=1, metavar='N', help='ask every n-th image only'
    )
    poses.add_argument(
        '--elsewhere-seeds', default='', metavar='A,B', help='other streets, not in the map'
    )
    poses.add_argument(
        '--elsewhere',
        type=Path,
        action='append',
        default=[],
        metavar='DIR',
        help='images of other places; may be repeated',
    )
    poses.add_argument('--json', type=Path, metavar='FILE')
    add_settings(poses)
    poses.set_defaults(run=_poses)


def _poses(options: argparse.Namespace) -> None:
    from cerfevpr_core.data.drawn_route import DrawnRoute
    from cerfevpr_core.data.relocalization import drawn_relocalization
    from cerfevpr_core.evaluation.poses.measure import ask, draw_map
    from cerfevpr_core.evaluation.poses.questions import of_folder, of_other_streets, of_the_street
    from cerfevpr_core.evaluation.poses.result import Result, as_json
    from cerfevpr_core.evaluation.poses.tables import (
        by_condition,
        covariances,
        elsewhere,
        protocol,
    )
    from cerfevpr_core.recognizer import PlaceRecognizer

    config = config_of(options)
    if config.verification.mode == 'never':
        raise ConfigError('verification.mode is never: there are no poses; leave it out')
    if options.every < 1:
        raise ConfigError(f'--every {options.every}: expected 1 or more')
    seeds = _seeds(options.elsewhere_seeds, options.seed)
    data = drawn_relocalization(options.seed, options.frames)
    questions = of_the_street(data, options.every)
    for seed in seeds:
        questions += of_other_streets(seed, options.frames, options.every)
    questions += [of_folder(folder, options.every) for folder in options.elsewhere]
    with TemporaryDirectory(prefix='cerfevpr-') as folder:
        route = DrawnRoute(options.seed, options.frames)
        place_map = draw_map(route, Path(folder), config, track)
        recognizer = PlaceRecognizer.load(place_map, options.config, tuple(options.assignments))
        result = Result(data.name, len(recognizer.place_map), ask(recognizer, questions, track))
        used = settings(recognizer.config)
        recognizer.close()
    print('\n'.join(protocol(result)))
    for table in (by_condition(result), elsewhere(result), covariances(result)):
        if table:
            print('', *table.lines(), sep='\n')
    if options.json:
        write_json(as_json(result, used, typed()), options.json)


def _seeds(text: str, of_map: int) -> list[int]:
    names = [name.strip() for name in text.split(',') if name.strip()]
    if wrong := [name for name in names if not name.isdecimal()]:
        raise ConfigError(f'--elsewhere-seeds {wrong[0]}: expected whole numbers, as 21,22')
    seeds = list(dict.fromkeys(map(int, names)))
    if of_map in seeds:
        raise ConfigError(f'--elsewhere-seeds {of_map}: that street is in the map; choose others')
    return seeds

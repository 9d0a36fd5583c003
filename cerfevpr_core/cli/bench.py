"""cerfevpr bench relocalization|landmarks|poses|loop-closure|sequence."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from cerfevpr_core.cli import bench_decisions, bench_loops, bench_poses, bench_sequence
from cerfevpr_core.cli.options import add_settings, config_of, track, typed, write_json
from cerfevpr_core.config import settings
from cerfevpr_core.errors import ConfigError

if TYPE_CHECKING:
    from cerfevpr_core.config import Config
    from cerfevpr_core.data.relocalization import RelocalizationSet
    from cerfevpr_core.verification.keypoints import Kind


def add_commands(commands: Any) -> None:
    """Put the commands of this file under the program's."""
    parser = commands.add_parser('bench', help='measure whole pipelines against baselines')
    actions = parser.add_subparsers(required=True, metavar='BENCHMARK')
    relocalization = actions.add_parser(
        'relocalization', help='poses by candidates and matching: bag of words, landmarks, regions'
    )
    relocalization.add_argument(
        '--images', type=Path, metavar='DIR', help='a sequence of 7-Scenes; without: a drawn route'
    )
    relocalization.add_argument('--seed', type=int, metavar='N', help='of the drawn route')
    relocalization.add_argument('--frames', type=int, metavar='N', help='of the drawn route: 160')
    relocalization.add_argument(
        '--every', type=int, default=1, metavar='N', help='ask every n-th query only'
    )
    relocalization.add_argument(
        '--keypoints', metavar='A,B', help='orb and verification.detector if left out'
    )
    relocalization.add_argument('--json', type=Path, metavar='FILE')
    relocalization.add_argument('--report', type=Path, metavar='DIR', help='tables and a figure')
    add_settings(relocalization)
    relocalization.set_defaults(run=_relocalization)
    landmarks = actions.add_parser('landmarks', help='time of matching them, and of a plain loop')
    add_settings(landmarks)
    landmarks.set_defaults(run=_landmarks)
    bench_poses.add_command(actions)
    bench_sequence.add_command(actions)
    bench_decisions.add_command(actions)
    bench_loops.add_command(actions)


def _landmarks(options: argparse.Namespace) -> None:
    from cerfevpr_core.evaluation.landmark_times import measure_times

    used = config_of(options).landmarks
    times = measure_times(used.num_landmarks, used.num_candidates)
    print(f'{used.num_candidates} candidates, {used.num_landmarks} landmarks each:')
    print(f'all at once {times.match_ms:.1f} ms, and {times.read_ms:.1f} ms to read them')
    print(
        f'plain loop  {times.loop_ms:.1f} ms, {times.loop_ms / times.match_ms:.0f} times as long'
    )
    print(f'similarities differ by {times.furthest:.1e} at most')


def _relocalization(options: argparse.Namespace) -> None:
    from cerfevpr_core.evaluation.relocalization.measure import measure
    from cerfevpr_core.evaluation.relocalization.result import as_json
    from cerfevpr_core.evaluation.relocalization.tables import (
        by_condition,
        gain_of_regions,
        near_map,
        overall,
        protocol,
    )

    config = config_of(options)
    kinds = _kinds(options.keypoints, config)
    if options.every < 1:
        raise ConfigError(f'--every {options.every}: expected 1 or more')
    benchmark = measure(_data(options), config, kinds, options.every, track)
    print('\n'.join(protocol(benchmark)))
    for make in (overall, by_condition, gain_of_regions, near_map):
        if table := make(benchmark):
            print('', *table.lines(), sep='\n')
    if options.json:
        write_json(as_json(benchmark, settings(config)), options.json)
    if options.report:
        from cerfevpr_core.evaluation.relocalization.page import write_page

        file = write_page(benchmark, options.report, settings(config), typed())
        print(f'report -> {file}')


def _data(options: argparse.Namespace) -> RelocalizationSet:
    from cerfevpr_core.data.relocalization import (
        drawn_relocalization,
        seven_scenes_relocalization,
    )

    if options.images is None:
        seed, frames = options.seed or 0, 160 if options.frames is None else options.frames
        return drawn_relocalization(seed, frames)
    if options.seed is not None or options.frames is not None:
        raise ConfigError('--seed and --frames are of the drawn route; leave out --images or them')
    return seven_scenes_relocalization(options.images)


def _kinds(text: str | None, config: Config) -> list[Kind]:
    from cerfevpr_core.verification.keypoints import Kind

    given = [name.strip() for name in (text or '').split(',') if name.strip()]
    names = given or ['orb', config.verification.detector]
    unknown = [name for name in names if name not in get_args(Kind)]
    if unknown:
        raise ConfigError(
            f'--keypoints {unknown[0]}: expected some of {", ".join(get_args(Kind))}'
        )
    return [cast('Kind', name) for name in dict.fromkeys(names)]

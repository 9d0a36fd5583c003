"""cerfevpr bench sequence."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table

from cerfevpr_core.cli.options import STDOUT, add_settings, config_of, track, typed, write_json
from cerfevpr_core.config import settings
from cerfevpr_core.errors import ConfigError

if TYPE_CHECKING:
    from cerfevpr_core.evaluation.sequences.measure import Drive

_LEAST_FRAMES = 12
_LEAST_WIDTH_PX, _DRAWN_WIDTH_PX = 16, 320


def add_command(actions: Any) -> None:
    """Put the command under `bench`."""
    from cerfevpr_core.data.drawn_route import CONDITIONS

    sequence = actions.add_parser(
        'sequence', help='images in order, where a robot stops, jumps, turns back or leaves'
    )
    sequence.add_argument('--seed', type=int, default=0, metavar='N', help='of the mapped street')
    sequence.add_argument('--frames', type=int, default=160, metavar='N', help='of each street')
    sequence.add_argument('--condition', choices=CONDITIONS, default='night', help='of queries')
    sequence.add_argument(
        '--width-px', type=int, default=40, metavar='N', help='of the images; 320: as drawn'
    )
    sequence.add_argument('--json', type=Path, metavar='FILE')
    add_settings(sequence)
    sequence.set_defaults(run=_sequence)


def _sequence(options: argparse.Namespace) -> None:
    from cerfevpr_core.data.drawn_route import DrawnRoute
    from cerfevpr_core.evaluation.sequences.measure import draw_map, drive, look
    from cerfevpr_core.evaluation.sequences.ways import ways
    from cerfevpr_core.recognizer import PlaceRecognizer

    config = config_of(options)
    if options.frames < _LEAST_FRAMES:
        raise ConfigError(f'--frames {options.frames}: expected {_LEAST_FRAMES} or more')
    if not _LEAST_WIDTH_PX <= options.width_px <= _DRAWN_WIDTH_PX:
        raise ConfigError(
            f'--width-px {options.width_px}: expected {_LEAST_WIDTH_PX} to {_DRAWN_WIDTH_PX}'
        )
    street = DrawnRoute(options.seed, options.frames)
    other = DrawnRoute(options.seed + 1000, options.frames)
    with TemporaryDirectory(prefix='cerfevpr-') as folder:
        place_map = draw_map(street, Path(folder), config, options.width_px, track)
        recognizer = PlaceRecognizer.load(place_map, options.config, tuple(options.assignments))
        seen = look(recognizer, street, options.condition, options.width_px, track)
        elsewhere = look(recognizer, other, options.condition, options.width_px, track)
        drives = [drive(recognizer, way, seen, elsewhere) for way in ways(options.frames)]
        recognizer.close()
    STDOUT.print(_table(drives))
    if options.json:
        answer = {'command': typed(), 'settings': settings(config)}
        write_json(answer | {'ways': [asdict(each) for each in drives]}, options.json)


def _table(drives: list[Drive]) -> Table:
    figures = ('images', 'alone', 'in order', 'odometry', 'reacts', 'P in map', 'P outside', 'ms')
    way = Column('way', no_wrap=True)
    table = Table(way, *figures, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for each in drives:
        outside = '' if each.nowhere_outside is None else f'{each.nowhere_outside:.2f}'
        react = ', '.join('never' if n is None else str(n) for n in each.react)
        table.add_row(
            each.name,
            str(each.num_images),
            *(f'{value:.1f}' for value in (each.alone, each.in_order, each.by_odometry)),
            react,
            f'{each.nowhere_inside:.2f}',
            outside,
            f'{each.ms_p50:.1f}',
        )
    return table

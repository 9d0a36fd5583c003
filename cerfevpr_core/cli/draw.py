"""cerfevpr draw: traverses of the drawn route, to try things without a download."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cerfevpr_core.cli.options import count_up
from cerfevpr_core.data.drawn_route import (
    CONDITIONS,
    VIEWPOINTS,
    DrawnRoute,
    write_bag,
    write_traverse,
)


def add_commands(commands: Any) -> None:
    """Put the command of this file under the program's."""
    parser = commands.add_parser('draw', help='draw a traverse of a street, with exact poses')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='a new folder')
    parser.add_argument('--condition', choices=CONDITIONS, default='summer')
    parser.add_argument('--viewpoint', choices=tuple(VIEWPOINTS), default='centre')
    parser.add_argument(
        '--frames', type=int, default=160, metavar='N', help='another number, another street'
    )
    parser.add_argument('--seed', type=int, default=0, help='another seed, another street')
    parser.add_argument('--depth', action='store_true', help='also depth images (16-bit mm)')
    parser.add_argument(
        '--bag',
        action='store_true',
        help='a rosbag2 (mcap) with image, camera_info, depth and odometry, instead of files',
    )
    parser.set_defaults(run=_draw)


def _draw(options: argparse.Namespace) -> None:
    route = DrawnRoute(options.seed, options.frames)
    progress = count_up(f'drawing {options.condition}')
    if options.bag:
        write_bag(route, options.out, options.condition, options.viewpoint, progress)
        print(f'{options.frames} images, camera_info, depth and odometry -> {options.out}')
        return
    write_traverse(
        route, options.out, options.condition, options.viewpoint, options.depth, progress
    )
    print(f'{options.frames} images, poses.txt and camera.yaml -> {options.out}')

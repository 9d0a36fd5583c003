"""cerfevpr hooks rtabmap|include: what other systems need to know of this installation."""

from __future__ import annotations

import argparse
from typing import Any


def add_commands(commands: Any) -> None:
    """Put the commands of this file under the program's."""
    parser = commands.add_parser('hooks', help='for RTAB-Map, ORB-SLAM3 and stella_vslam')
    actions = parser.add_subparsers(required=True, metavar='ACTION')
    rtabmap = actions.add_parser('rtabmap', help="RTAB-Map's parameters for our descriptors")
    rtabmap.add_argument('--map', default='', help='whose model is used (CERFEVPR_MAP); any place')
    rtabmap.set_defaults(run=_rtabmap)
    include = actions.add_parser('include', help='the folder of cerfevpr_candidates.hpp')
    include.set_defaults(run=_include)


def _rtabmap(options: argparse.Namespace) -> None:
    from cerfevpr_core.hooks.rtabmap import describer_for, parameters

    for name, value in parameters(describer_for(options.map)).items():
        print(f'--{name} {value}')


def _include(options: argparse.Namespace) -> None:
    from cerfevpr_core.hooks.rtabmap import SCRIPT

    print(SCRIPT.parent)

"""cerfevpr bench decisions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cerfevpr_core.cli.options import add_settings, track, typed, write_json
from cerfevpr_core.config import settings
from cerfevpr_core.errors import ConfigError


def add_command(actions: Any) -> None:
    """Put the command under `bench`."""
    parser = actions.add_parser(
        'decisions', help='a calibrated map: how true its probabilities, how rare wrong matches'
    )
    parser.add_argument('map', type=Path, metavar='MAP')
    parser.add_argument(
        '--queries', type=Path, required=True, metavar='DIR', help='images of places in the map'
    )
    parser.add_argument(
        '--frame-tolerance',
        type=int,
        default=2,
        metavar='K',
        help='right: numbers in names differ by at most K (default 2)',
    )
    parser.add_argument(
        '--elsewhere',
        type=Path,
        action='append',
        default=[],
        metavar='DIR',
        help='images of places outside the map; may be repeated',
    )
    parser.add_argument(
        '--followed',
        action='store_true',
        help='images in order, one belief over all folders: at each the robot is put elsewhere',
    )
    parser.add_argument('--camera', type=Path, metavar='FILE', help='ROS calibration YAML')
    parser.add_argument('--json', type=Path, metavar='FILE')
    parser.add_argument('--report', type=Path, metavar='DIR', help='write report.html')
    add_settings(parser)
    parser.set_defaults(run=_decisions)


def _decisions(options: argparse.Namespace) -> None:
    from cerfevpr_core.data.frames import FolderFrames
    from cerfevpr_core.data.positions import read_camera
    from cerfevpr_core.evaluation import decisions
    from cerfevpr_core.recognizer import PlaceRecognizer

    if options.frame_tolerance < 0:
        raise ConfigError(f'--frame-tolerance {options.frame_tolerance}: expected 0 or more')
    camera = read_camera(options.camera) if options.camera else None
    recognizer = PlaceRecognizer.load(options.map, options.config, tuple(options.assignments))
    folders = [(options.queries, options.frame_tolerance)]
    folders += [(folder, None) for folder in options.elsewhere]
    belief = recognizer.sequence() if options.followed else None
    if options.followed and belief is None:
        raise ConfigError('--followed with sequence.mode=never: there is no belief to follow with')
    asked = [
        decisions.ask(
            recognizer, FolderFrames(folder), str(folder), tolerance, camera, track, belief
        )
        for folder, tolerance in folders
    ]
    used = settings(recognizer.config)
    recognizer.close()
    print('\n'.join(decisions.decisions_table(asked).lines()))
    print('', *decisions.errors_table(asked).lines(), sep='\n')
    if options.json:
        write_json(decisions.as_json(asked, used, typed()), options.json)
    if options.report:
        from cerfevpr_core.evaluation.page import Report, write_report
        from cerfevpr_core.evaluation.report import environment_facts

        found = decisions.mixtures(asked)
        page = Report(
            'Place recognition: decisions',
            f'{len(folders)} folders of images asked in {options.map}, '
            + ('one after another with one belief' if belief else 'each image by itself'),
            decisions.big_numbers(asked),
            facts=environment_facts(),
            settings=used,
            command=typed(),
            reliability={name: decisions.bins_of(answers) for name, answers in found.items()},
        )
        write_report(page, options.report / 'report.html')
        print(f'report -> {options.report / "report.html"}')

"""cerfevpr bench loop-closure."""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cerfevpr_core.cli.options import add_settings, config_of, track, typed, write_json
from cerfevpr_core.config import settings
from cerfevpr_core.errors import ImageError


def add_command(actions: Any) -> None:
    """Put the command under `bench`."""
    loops = actions.add_parser(
        'loop-closure', help='drive through images, one after another, and close loops'
    )
    loops.add_argument('--images', type=Path, required=True, metavar='DIR', help='of one drive')
    loops.add_argument(
        '--truth', type=Path, metavar='FILE', help='a picture, one pixel for each pair of images'
    )
    loops.add_argument('--camera', type=Path, metavar='FILE', help="ROS's calibration YAML")
    loops.add_argument('--json', type=Path, metavar='FILE')
    loops.add_argument('--sheet', type=Path, metavar='FILE', help='the closures as a picture')
    add_settings(loops)
    loops.set_defaults(run=_loops)


def _loops(options: argparse.Namespace) -> None:
    from cerfevpr_core.data.frames import FolderFrames
    from cerfevpr_core.data.positions import read_camera
    from cerfevpr_core.describer import Describer
    from cerfevpr_core.evaluation.loop_closure.measure import drive
    from cerfevpr_core.evaluation.loop_closure.result import as_json, score
    from cerfevpr_core.evaluation.loop_closure.sheet import draw_closures
    from cerfevpr_core.evaluation.loop_closure.truth import read_truth
    from cerfevpr_core.landmark_sheet import write_picture

    config = config_of(options)
    frames = FolderFrames(options.images)
    truth = read_truth(options.truth, len(frames)) if options.truth else None
    camera = read_camera(options.camera) if options.camera else None
    describer = Describer(config)
    describer.load_universal()  # a robot does not know what it will see
    with TemporaryDirectory(prefix='cerfevpr-') as folder:
        driven = drive(frames, camera, describer, Path(folder) / 'map', config, track)
    if truth is not None and frames.left_out:
        raise ImageError(
            f'{len(frames.left_out)} images cannot be read, and the truth counts them: take them '
            'out of both'
        )
    told = sum(each.answer.closure is not None for each in driven.asked)
    found = sum(each.answer.found is not None for each in driven.asked)
    print(f'{len(driven.asked)} images: {found} close a loop, {told} closures are told')
    if truth is not None:
        got = score(driven.asked, driven.of_keyframe, truth)
        print(f'{got.num_loops} images have a true earlier match: {got.num_found} are found')
        print(f'{got.num_false} images have a false closure; {got.num_told_false} of those told')
    if options.json:
        used = settings(describer.config)
        write_json(as_json(driven.asked, driven.of_keyframe, truth, used, typed()), options.json)
    if options.sheet:
        sheet = draw_closures(options.images, driven, truth)
        if sheet is None:
            print('no closure to draw')
        else:
            write_picture(sheet, options.sheet)

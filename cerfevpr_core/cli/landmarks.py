"""cerfevpr landmarks: a picture of an image's landmarks, or of those that two images share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cerfevpr_core.cli.options import add_settings, config_of
from cerfevpr_core.errors import ConfigError


def add_commands(commands: Any) -> None:
    """Put the command of this file under the program's."""
    parser = commands.add_parser('landmarks', help='show where an image is recognized by')
    parser.add_argument('image', type=Path, metavar='IMAGE', help='a jpg or png file')
    parser.add_argument('other', type=Path, nargs='?', metavar='IMAGE', help='to match it with')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE', help='jpg or png')
    add_settings(parser)
    parser.set_defaults(run=_landmarks)


def _landmarks(options: argparse.Namespace) -> None:
    from cerfevpr_core.describer import Describer
    from cerfevpr_core.images import read_image
    from cerfevpr_core.landmark_sheet import draw_landmarks, draw_matches, write_picture
    from cerfevpr_core.landmarks import match_landmarks

    describer = Describer(config_of(options))
    selector = describer.selector
    images = [read_image(file) for file in (options.image, options.other) if file]
    maps = [describer.patches(image) for image in images]
    found = [selector.select(patches) for patches in maps]
    first, last = found[0], found[-1]
    if first is None or last is None:
        raise ConfigError(
            'landmarks.selection selects none on this backbone; set it to act or all, or give '
            'landmarks.weights'
        )
    if len(images) == 1:
        write_picture(draw_landmarks(images[0], selector.activations(maps[0]), first), options.out)
        print(f'{len(first)} landmarks of {options.image} -> {options.out}')
        return
    (matches,) = match_landmarks(first, [last])
    picture = draw_matches((images[0], images[1]), (first, last), matches)
    write_picture(picture, options.out)
    moved = 'no common shift' if matches.shift is None else f'moved by {matches.shift} cells'
    agreeing = int((matches.weights > 0.5).sum())
    print(
        f'{agreeing} of {len(matches.query)} matched landmarks agree, {moved}; similarity '
        f'{matches.similarity / max(len(first), 1):.3f} -> {options.out}'
    )

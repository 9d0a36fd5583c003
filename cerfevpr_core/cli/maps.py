"""cerfevpr map build|info|check|add|calibrate."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from cerfevpr_core.cli import map_changes
from cerfevpr_core.cli.beside import add_beside, extras_of
from cerfevpr_core.cli.options import add_images, add_settings, config_of, frames_of, track
from cerfevpr_core.errors import DamagedMapError, UncalibratedError
from cerfevpr_core.place_map import FIT, UNIVERSAL, Manifest, calibration
from cerfevpr_core.place_map.store import KeyframeStore


def add_commands(commands: Any) -> None:
    """Put the commands of this file under the program's."""
    parser = commands.add_parser('map', help='build maps and look into them')
    actions = parser.add_subparsers(required=True, metavar='ACTION')
    build = actions.add_parser('build', help='describe images and save them as a map')
    build.add_argument('--out', type=Path, required=True, metavar='MAP', help='a new folder')
    build.set_defaults(run=_build)
    add = actions.add_parser('add', help='describe more images into a map')
    add.add_argument('map', type=Path, metavar='MAP')
    add.set_defaults(run=_add)
    for each in (build, add):
        add_images(each)
        add_beside(each)
        each.add_argument('--traverse', default='', metavar='NAME', help='as day or 2026-03-01')
        add_settings(each)
    calibrate = actions.add_parser('calibrate', help='fit how sure its answers are, on the map')
    calibrate.add_argument('map', type=Path, metavar='MAP')
    add_settings(calibrate)
    calibrate.set_defaults(run=_calibrate)
    info = actions.add_parser('info', help='what a map holds')
    info.set_defaults(run=_info)
    check = actions.add_parser('check', help='look for damage; exit code 1 if there is any')
    check.set_defaults(run=_check)
    for each in (info, check):
        each.add_argument('map', type=Path, metavar='MAP')
    map_changes.add_actions(actions)


def _build(options: argparse.Namespace) -> None:
    from cerfevpr_core.mapping import build_map

    extras = extras_of(options)
    frames = frames_of(options)
    config = config_of(options)
    count = build_map(frames, options.out, config, extras, track)
    print(f'{count} keyframes -> {options.out}{_skipped(len(frames) - count)}')
    if config.decision.calibrate == 'auto':
        try:
            _calibrate_map(options.out, options)
        except UncalibratedError as error:  # the map is whole without it
            print(f'not calibrated, so its answers have no probability: {error}')


def _calibrate(options: argparse.Namespace) -> None:
    _calibrate_map(options.map, options)


def _calibrate_map(folder: Path, options: argparse.Namespace) -> None:
    from cerfevpr_core.calibration.fit import calibrate_map

    made = calibrate_map(folder, track, options.config, tuple(options.assignments))
    error = made.quality['calibration_error']
    followed = made.quality.get('calibration_error_followed')
    in_order = '' if followed is None else f', of images in order {followed:.3f}'
    print(
        f'calibrated with {made.num_examples} questions, calibration error {error:.3f}{in_order}'
    )


def _add(options: argparse.Namespace) -> None:
    from cerfevpr_core.map_model import map_settings, matching_describer
    from cerfevpr_core.mapping import add_to_map
    from cerfevpr_core.place_map import PlaceMap

    extras = extras_of(options)
    frames = frames_of(options)
    config = config_of(options, map_settings(options.map))
    with PlaceMap.open(options.map, config.map.index) as place_map:
        describer = matching_describer(config, place_map)
        count = add_to_map(place_map, describer, frames, config, extras, track)
        print(
            f'{count} keyframes added, {len(place_map)} in {options.map}'
            f'{_skipped(len(frames) - count)}'
        )


def _info(options: argparse.Namespace) -> None:
    with closing(KeyframeStore.open(options.map)) as store:
        manifest, keyframes = store.manifest, store.everything()
        calibrated = calibration.age(store)
    num_posed = sum(k.pose is not None for k in keyframes)
    traverses = sorted({k.traverse for k in keyframes if k.traverse})
    size_mb = sum(f.stat().st_size for f in options.map.iterdir()) / 1e6
    rows = {
        'map': options.map,
        'map id': manifest.map_id,
        'format': manifest.format,
        'keyframes': f'{len(keyframes)} ({num_posed} with a pose)',
        'traverses': ', '.join(traverses) or '-',
        'method': manifest.settings['method'],
        'backbone': manifest.settings['backbone.name'],
        'descriptor': f'{manifest.descriptor_dim} dimensions',
        'fitted': _fit(manifest),
        'landmarks': manifest.settings['landmarks.selection'],
        'keypoints': _keypoints(manifest.settings),
        'calibration': calibration.in_words(calibrated),
        'fingerprint': manifest.fingerprint,
        'size': f'{size_mb:.1f} MB',
    }
    for name, value in rows.items():
        print(f'{name:12} {value}')


def _fit(manifest: Manifest) -> str:
    if not manifest.fitted:
        return 'nothing'
    if manifest.settings.get(FIT) == UNIVERSAL:
        return 'on other places (`map reembed` fits to the images of the map)'
    return 'to the images of the map'


def _keypoints(settings: Mapping[str, Any]) -> str:
    return (
        settings['verification.detector'] if settings['verification.mode'] == 'always' else 'none'
    )


def _check(options: argparse.Namespace) -> int:
    try:
        with closing(KeyframeStore.open(options.map)) as store:
            problems = store.problems()
            if not problems:
                print(f'{options.map}: {len(store)} keyframes, no damage found')
    except DamagedMapError as error:  # too much to be opened
        problems = [str(error)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def _skipped(count: int) -> str:
    return f' ({count} unreadable images left out, named above)' if count else ''

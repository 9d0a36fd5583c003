"""cerfevpr map merge|reembed|remove."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cerfevpr_core.cli.options import add_settings, config_of, track
from cerfevpr_core.errors import MapError

if TYPE_CHECKING:
    from cerfevpr_core.place_map import PlaceMap


def add_actions(actions: Any) -> None:
    """Put these under `cerfevpr map`."""
    merge = actions.add_parser('merge', help='join maps of one model into a new one')
    merge.add_argument('maps', type=Path, nargs='+', metavar='MAP')
    merge.add_argument('--out', type=Path, required=True, metavar='MAP', help='a new folder')
    merge.add_argument(
        '--prefix', action='store_true', help="put its map's name in front of every external id"
    )
    merge.set_defaults(run=_merge)
    reembed = actions.add_parser('reembed', help='describe the keyframes of a map again')
    reembed.add_argument('map', type=Path, metavar='MAP')
    reembed.add_argument('--out', type=Path, required=True, metavar='NEW', help='a new folder')
    reembed.add_argument(
        '--images', type=Path, metavar='DIR', help='the original images, by name; else thumbnails'
    )
    reembed.add_argument(
        '--like', type=Path, metavar='MAP', help='with the model and the fit of another map'
    )
    add_settings(reembed)
    reembed.set_defaults(run=_reembed)
    remove = actions.add_parser('remove', help='remove keyframes')
    remove.add_argument('map', type=Path, metavar='MAP')
    which = remove.add_mutually_exclusive_group(required=True)
    which.add_argument('--ids', type=int, nargs='+', metavar='ID')
    which.add_argument('--traverse', metavar='NAME', help='all keyframes of a traverse')
    which.add_argument('--external-id', nargs='+', metavar='ID', help="the SLAM system's own")
    remove.set_defaults(run=_remove)


def _merge(options: argparse.Namespace) -> None:
    from cerfevpr_core.map_changes.merge import merge_maps

    if len(options.maps) < 2:
        raise MapError('one map is nothing to merge; give two or more')
    count = merge_maps(options.maps, options.out, options.prefix)
    print(f'{count} keyframes of {len(options.maps)} maps -> {options.out}')


def _reembed(options: argparse.Namespace) -> None:
    from cerfevpr_core.map_changes.reembed import reembed_map

    count = reembed_map(
        options.map,
        options.out,
        lambda base: config_of(options, base),
        options.images,
        options.like,
        track,
    )
    print(f'{count} keyframes described again -> {options.out}')


def _remove(options: argparse.Namespace) -> None:
    from cerfevpr_core.place_map import PlaceMap

    with PlaceMap.open(options.map) as place_map:
        ids = _chosen(place_map, options)
        place_map.remove(ids)
        print(f'{len(ids)} keyframes removed, {len(place_map)} left in {options.map}')


def _chosen(place_map: PlaceMap, options: argparse.Namespace) -> list[int]:
    if options.ids:
        return sorted(set(options.ids))
    if options.traverse is not None:
        place_map.require_traverses([options.traverse])
        rows = place_map.store.traverses()
        return [number for number, name in rows if name == options.traverse]
    return sorted({_named(place_map, name) for name in options.external_id})


def _named(place_map: PlaceMap, external_id: str) -> int:
    number = place_map.find(external_id)
    if number is None:
        raise MapError(
            f'the map at {place_map.folder} has no keyframe with the external id '
            f'{external_id!r}; nothing was removed'
        )
    return number

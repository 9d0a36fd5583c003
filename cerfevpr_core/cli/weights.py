"""cerfevpr weights fetch|list|import."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

_OFFICIAL = ('vit_base_patch14_dinov2.lvd142m', 'vit_small_patch14_dinov2.lvd142m')


def add_commands(commands: Any) -> None:
    """Put the commands of this file under the program's."""
    parser = commands.add_parser('weights', help='pretrained weights of the backbones')
    actions = parser.add_subparsers(required=True, metavar='ACTION')
    listing = actions.add_parser('list', help='where weights would come from')
    listing.set_defaults(run=_list)
    fetch = actions.add_parser('fetch', help='bring weights into the cache, for use offline')
    fetch.add_argument('name', help='a timm model, as vit_base_patch14_dinov2.lvd142m')
    fetch.set_defaults(run=_fetch)
    bring = actions.add_parser('import', help='put a weights file into the cache')
    bring.add_argument('name', help='the timm model that the file belongs to')
    bring.add_argument('file', type=Path, help='safetensors, or a torch file of tensors')
    bring.set_defaults(run=_import)


def _list(options: argparse.Namespace) -> None:
    from cerfevpr_core.weights import PACKAGES, cached_file, where

    cached = sorted(f.stem for f in cached_file('x').parent.glob('*.safetensors'))
    rows = [('backbone.name', 'would come from', 'terms')]
    for name in dict.fromkeys((*PACKAGES, *_OFFICIAL, *cached)):
        rows.append((name, where(name), PACKAGES[name].terms if name in PACKAGES else ''))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:  # never cut to the width of a terminal: names are to be copied
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print('  '.join(cells).rstrip())


def _fetch(options: argparse.Namespace) -> None:
    _into_cache(options.name)


def _import(options: argparse.Namespace) -> None:
    _into_cache(options.name, str(options.file))


def _into_cache(name: str, file: str = '') -> None:
    from cerfevpr_core.backbone.load import create_network
    from cerfevpr_core.config import BackboneConfig
    from cerfevpr_core.weights import keep, load_pretrained

    network = create_network(BackboneConfig(name=name))
    origin = load_pretrained(network, name, file)
    print(f'{name}: from {origin} -> {keep(network, name)}')

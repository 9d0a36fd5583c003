"""What `cerfevpr` usually fits on a map's images, fitted on many places instead.

A map that a robot makes while it drives starts without images to fit on. The words and the first
stage of the projection hardly differ from place to place, so they come with the package. The
second stage does: every basis fitted elsewhere, or drawn at random, loses places (docs/map.md has
the figures). It is left out, and such a map keeps all the numbers of a descriptor.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from cerfevpr_core.checkpoint import load_network
from cerfevpr_core.config import Config
from cerfevpr_core.errors import MapError, WeightsError
from cerfevpr_core.model import Fitted
from cerfevpr_core.trained import descriptor_file

SHIPPED = Path(__file__).parent / 'models' / 'universal.safetensors'


def universal_fit(config: Config) -> Fitted:
    """Words and `narrow` for any place, by name.

    Raises MapError for a method that cannot do without images, WeightsError where the file is not
    of the trained descriptor that the settings name.
    """
    if config.method != 'cerfevpr':
        raise MapError(
            f'method {config.method} fits its vocabulary on images, and a new map has none; take '
            'cerfevpr, cls, gem, grid or holistic, or start from `cerfevpr map build --images DIR`'
        )
    file = (
        Path(config.descriptor.universal).expanduser() if config.descriptor.universal else SHIPPED
    )
    saved = load_network(file)
    if saved.notes.get('descriptor') != descriptor_hash(config):
        raise WeightsError(
            f'{file} was made for another descriptor than {descriptor_file(config)}; make one for '
            'it with tools/universal_fit.py and name that in descriptor.universal, or start from '
            '`cerfevpr map build --images DIR`'
        )
    return {name: value.numpy() for name, value in saved.state.items()}


def descriptor_hash(config: Config) -> str:
    """Of the trained descriptor's file."""
    return hashlib.sha256(descriptor_file(config).read_bytes()).hexdigest()[:16]

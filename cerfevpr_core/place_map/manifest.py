"""What a map says of itself: format, model, settings and what was fitted on it."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from cerfevpr_core.errors import MapError
from cerfevpr_core.place_map.damage import damage
from cerfevpr_core.place_map.foreign import refuse_programs, require_types

FORMAT = 2

FIT, UNIVERSAL = 'fit', 'universal'  # a setting of maps whose fit is not of their own images


@dataclass(frozen=True)
class Manifest:
    """Written once, when the map is made."""

    fingerprint: str
    settings: Mapping[str, Any]  # those of the model, by flat name
    descriptor_dim: int
    fitted: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    map_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    format: int = FORMAT


def write_manifest(connection: sqlite3.Connection, manifest: Manifest) -> None:
    """Into the empty table of a new map, with a first generation."""
    rows = {
        'format': manifest.format,
        'map_id': manifest.map_id,
        'fingerprint': manifest.fingerprint,
        'settings': json.dumps(manifest.settings),
        'descriptor_dim': manifest.descriptor_dim,
        'fitted': safetensors.numpy.save(dict(manifest.fitted)),
        'generation': uuid.uuid4().hex,
    }
    connection.executemany('INSERT INTO manifest VALUES (?, ?)', rows.items())


def read_manifest(folder: Path, connection: sqlite3.Connection) -> Manifest:
    """Of a map in this folder. Raises MapError for another format and for a damaged one."""
    refuse_programs(folder, connection)
    rows = dict(connection.execute('SELECT key, value FROM manifest').fetchall())
    version = rows.get('format')
    if version != FORMAT:
        raise MapError(
            f'the map at {folder} has format {version}, this version reads {FORMAT}; '
            'use the version that made it, or build it again with `cerfevpr map build`'
        )
    require_types(folder, rows)
    try:
        settings = json.loads(rows['settings'])
        if not isinstance(settings, dict):
            raise ValueError('its settings have no names')
        return Manifest(
            rows['fingerprint'],
            settings,
            rows['descriptor_dim'],
            safetensors.numpy.load(rows['fitted']),
            rows['map_id'],
        )
    # RecursionError: JSON of a hundred thousand brackets. TypeError: numbers NumPy does not have.
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise damage(folder, f'its manifest cannot be read ({error!r})') from None

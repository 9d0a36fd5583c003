"""A database that somebody else made: what a map never holds is refused before it is used."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cerfevpr_core.errors import MapError
from cerfevpr_core.place_map.damage import damage

MAX_DESCRIPTOR_DIM = 1 << 16

_TYPES = {'fingerprint': str, 'map_id': str, 'settings': str, 'fitted': bytes}


def refuse_programs(folder: Path, connection: sqlite3.Connection) -> None:
    """A map has tables and indexes alone. Raises MapError for a trigger, view or virtual table.

    They run by themselves whenever the map is read or written, and do what their author wanted.
    """
    connection.execute('PRAGMA trusted_schema = OFF')
    query = 'SELECT type, name, sql FROM sqlite_master'
    for kind, name, text in connection.execute(query):
        virtual = str(text or '').upper().split()[:2] == ['CREATE', 'VIRTUAL']
        if virtual or kind not in ('table', 'index'):
            what = 'virtual table' if virtual else kind
            raise MapError(
                f'{folder}/keyframes.sqlite has the {what} {str(name)[:80]!r}, which no map made '
                'by CerfeVPR has; do not use this map unless you know who made it and why'
            )


def require_types(folder: Path, rows: Mapping[str, Any]) -> None:
    """A manifest's values are of their types, and its sizes possible. Raises MapError."""
    for key, kind in _TYPES.items():
        if not isinstance(rows.get(key), kind):
            found = type(rows.get(key)).__name__
            raise damage(
                folder, f'its manifest cannot be read: {key} is {found}, not {kind.__name__}'
            )
    dim = rows.get('descriptor_dim')
    if type(dim) is not int or not 0 < dim <= MAX_DESCRIPTOR_DIM:
        reason = f'descriptors of {dim!r} numbers, expected 1 to {MAX_DESCRIPTOR_DIM}'
        raise damage(folder, f'its manifest cannot be read: {reason}')

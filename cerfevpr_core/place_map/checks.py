"""Looking through a whole map for damage."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator

import numpy as np


def all_problems(connection: sqlite3.Connection, descriptor_dim: int) -> list[str]:
    """Every damage of a map's file, in words; empty for a sound one."""
    found: list[str] = []
    try:
        for (text,) in connection.execute('PRAGMA integrity_check'):
            found += [] if text == 'ok' else [f'SQLite: {text}']
        for table, row, *_ in connection.execute('PRAGMA foreign_key_check'):
            found.append(f'{table} row {row} belongs to no keyframe')
        found += _problems_of_descriptors(connection, descriptor_dim)
        found += _problems_of_local_features(connection)
        found += _problems_of_types(connection)
    except sqlite3.Error as error:
        found.append(f'SQLite: {error}')
    return found


def intact(vector: bytes, crc: int, dim: int) -> bool:
    """Whether a descriptor is as it was written."""
    return len(vector) == 4 * dim and zlib.crc32(vector) == crc


def _problems_of_descriptors(connection: sqlite3.Connection, dim: int) -> Iterator[str]:
    rows = connection.execute('SELECT keyframe_id, vector, crc FROM descriptors')
    for keyframe_id, vector, crc in rows:
        if not intact(vector, crc, dim):
            yield f'keyframe {keyframe_id}: its descriptor has changed since it was written'
        elif not abs(float(np.linalg.norm(np.frombuffer(vector, '<f4'))) - 1) < 1e-3:
            yield f'keyframe {keyframe_id}: its descriptor is not of unit length'
    bare = 'SELECT id FROM keyframes WHERE id NOT IN (SELECT keyframe_id FROM descriptors)'
    for (keyframe_id,) in connection.execute(bare):
        yield f'keyframe {keyframe_id} has no descriptor'


def _problems_of_local_features(connection: sqlite3.Connection) -> Iterator[str]:
    for keyframe_id, kind, content, crc in connection.execute('SELECT * FROM local_features'):
        if zlib.crc32(content) != crc:
            yield f'keyframe {keyframe_id}: its {kind} have changed since they were written'


def _problems_of_types(connection: sqlite3.Connection) -> Iterator[str]:
    # SQLite keeps any type in any column; ours are always written as they are declared.
    wrong = ' OR '.join(f'typeof({column}) NOT IN ({types})' for column, types in _TYPES.items())
    for (keyframe_id,) in connection.execute(f'SELECT id FROM keyframes WHERE {wrong}'):
        yield f'keyframe {keyframe_id} has a value of another type than was ever written'


_NUMBER = "'real', 'null'"
_TYPES = {
    **dict.fromkeys(('name', 'external_id', 'traverse'), "'text'"),
    **dict.fromkeys(('stamp_ns', 'height_px', 'width_px', 'has_points'), "'integer'"),
    **dict.fromkeys(('x_m', 'y_m', 'z_m', 'qx', 'qy', 'qz', 'qw'), _NUMBER),
    'camera': "'text', 'null'",
    'thumbnail': "'blob'",
}

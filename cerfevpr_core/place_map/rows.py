"""Keyframes to rows of the map's tables, and back."""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import MapError
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.place_map.keyframes import Candidate, Keyframe

_NOT_UNIT = 1e-3  # what single precision and printed digits may do to a quaternion

_CANDIDATES = (
    'SELECT id, name, external_id, traverse, stamp_ns, x_m, y_m, z_m, qx, qy, qz, qw, '
    'height_px, width_px FROM keyframes '
)


def insert(
    connection: sqlite3.Connection, keyframe: Keyframe, dim: int, keyframe_id: int | None = None
) -> int:
    """A keyframe with descriptors (P, dim) -> its id, a new one where none is given.

    Raises MapError for one that cannot be kept.
    """
    vectors = np.ascontiguousarray(keyframe.descriptors, '<f4')
    assert vectors.ndim == 2 and vectors.shape[1] == dim, (vectors.shape, dim)
    if not np.isfinite(vectors).all():
        raise MapError(f'the descriptor of {keyframe.name} is not finite; nothing was added')
    if not len(vectors):
        raise MapError(f'{keyframe.name} has no descriptor; nothing was added')
    _refuse_duplicate(connection, keyframe.external_id)
    numbers = numbers_of(keyframe.pose, keyframe.name) if keyframe.pose else (None,) * 7
    cursor = connection.execute(
        f'INSERT INTO keyframes VALUES (?{", ?" * 16})',
        (
            keyframe_id,
            keyframe.name,
            keyframe.external_id,
            keyframe.traverse,
            keyframe.stamp_ns,
            *numbers,
            json.dumps(asdict(keyframe.camera)) if keyframe.camera else None,
            keyframe.thumbnail,
            *keyframe.size_px,
            keyframe.has_points,
        ),
    )
    assert cursor.lastrowid is not None
    _insert_parts(connection, cursor.lastrowid, vectors, keyframe.local_features)
    return cursor.lastrowid


def known_once(connection: sqlite3.Connection, keyframe_ids: Iterable[int]) -> list[int]:
    """The same ids as plain numbers. Raises MapError for one that is unknown or repeated."""
    ids = [int(number) for number in keyframe_ids]
    query = 'SELECT 1 FROM keyframes WHERE id = ?'
    unknown = [i for i in ids if connection.execute(query, (i,)).fetchone() is None]
    if unknown:
        shown = ', '.join(map(str, unknown[:5])) + (', ...' if len(unknown) > 5 else '')
        raise MapError(f'the map has no keyframe {shown}; nothing changed; give ids that it has')
    if len(set(ids)) < len(ids):
        raise MapError('a keyframe is named twice; nothing changed')
    return ids


def last_id(connection: sqlite3.Connection) -> int:
    """The highest id that was ever given, also to a keyframe that is gone."""
    query = "SELECT seq FROM sqlite_sequence WHERE name = 'keyframes'"
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def reserve_ids(connection: sqlite3.Connection, last: int) -> None:
    """Give no id up to this one to a new keyframe."""
    if last > last_id(connection):
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'keyframes'")
        connection.execute("INSERT INTO sqlite_sequence VALUES ('keyframes', ?)", (last,))


def numbers_of(pose: Pose, of: object) -> tuple[float, ...]:
    """x, y, z, qx, qy, qz, qw. Raises MapError for one that is no pose, naming whose it is."""
    numbers = (*pose.position_m, *pose.quaternion)
    length = math.sqrt(sum(number * number for number in pose.quaternion))
    if not all(map(math.isfinite, numbers)) or abs(length - 1) > _NOT_UNIT:
        raise MapError(
            f'the pose of {of} is {_shown(pose.position_m)}, {_shown(pose.quaternion)}: expected '
            f'finite numbers and a quaternion (x, y, z, w) of length 1, found {length:.6g}; '
            'nothing changed'
        )
    return tuple(map(float, numbers))


def candidate(
    connection: sqlite3.Connection, keyframe_id: int, similarity: float
) -> Candidate | None:
    """What is known of a keyframe; None where it was removed since the search."""
    row = connection.execute(_CANDIDATES + 'WHERE id = ?', (keyframe_id,)).fetchone()
    return None if row is None else _candidate(row, similarity)


def all_candidates(connection: sqlite3.Connection) -> list[Candidate]:
    """Every keyframe in the order they were added, with similarity 0."""
    return [_candidate(row, 0.0) for row in connection.execute(_CANDIDATES + 'ORDER BY id')]


def read_keyframe(connection: sqlite3.Connection, keyframe_id: int) -> Keyframe | None:
    """All that is kept of a keyframe; None where there is none of this id.

    Raises ValueError where something of it has changed since it was written.
    """
    found = candidate(connection, keyframe_id, 0.0)
    if found is None:
        return None
    camera, thumbnail, has_points = connection.execute(
        'SELECT camera, thumbnail, has_points FROM keyframes WHERE id = ?', (keyframe_id,)
    ).fetchone()
    vectors = connection.execute(
        'SELECT vector, crc FROM descriptors WHERE keyframe_id = ? ORDER BY id', (keyframe_id,)
    ).fetchall()
    features = connection.execute(
        'SELECT content, crc, kind FROM local_features WHERE keyframe_id = ?', (keyframe_id,)
    ).fetchall()
    if any(zlib.crc32(content) != crc for content, crc, *_ in (*vectors, *features)):
        raise ValueError(f'keyframe {keyframe_id} has changed since it was written')
    return Keyframe(
        found.name,
        np.stack([np.frombuffer(vector, '<f4') for vector, _ in vectors]),
        found.external_id,
        found.traverse,
        found.stamp_ns,
        found.pose,
        camera_of(camera),
        thumbnail,
        found.size_px,
        {kind: content for content, _, kind in features},
        bool(has_points),
    )


def camera_of(text: str | None) -> Camera | None:
    """As a row has it."""
    if not text:
        return None
    values = json.loads(text)
    return Camera(**values | {'distortion': tuple(values['distortion'])})


def _candidate(row: tuple[Any, ...], similarity: float) -> Candidate:
    pose = None if row[5] is None else Pose(row[5:8], row[8:12])
    return Candidate(row[0], row[1], similarity, row[2], row[3], row[4], pose, row[12:14])


def _shown(numbers: tuple[float, ...]) -> str:
    return f'({", ".join(f"{number:g}" for number in numbers)})'


def _insert_parts(
    connection: sqlite3.Connection,
    keyframe_id: int,
    vectors: NDArray[np.float32],
    local_features: Mapping[str, bytes],
) -> None:
    for vector in vectors:
        blob = vector.tobytes()
        connection.execute(
            'INSERT INTO descriptors VALUES (NULL, ?, ?, ?)',
            (keyframe_id, blob, zlib.crc32(blob)),
        )
    for kind, blob in local_features.items():
        connection.execute(
            'INSERT INTO local_features VALUES (?, ?, ?, ?)',
            (keyframe_id, kind, blob, zlib.crc32(blob)),
        )


def _refuse_duplicate(connection: sqlite3.Connection, external_id: str) -> None:
    query = "SELECT id FROM keyframes WHERE external_id = ? AND external_id != ''"
    if known := connection.execute(query, (external_id,)).fetchone():
        raise MapError(
            f'keyframe {known[0]} of the map has the external_id {external_id!r} already; '
            'nothing was added; remove it first, or give another id'
        )

"""Keyframes to rows of the map's tables, and back."""

from __future__ import annotations

import json
import math
import sqlite3
import zlib
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import MapError
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.place_map.keyframes import Candidate, Keyframe

_NOT_UNIT = 1e-3  # what single precision and printed digits may do to a quaternion

_CANDIDATE = (
    'SELECT name, external_id, traverse, stamp_ns, x_m, y_m, z_m, qx, qy, qz, qw, '
    'height_px, width_px FROM keyframes WHERE id = ?'
)


def insert(connection: sqlite3.Connection, keyframe: Keyframe, dim: int) -> int:
    """A keyframe with descriptors (P, dim) -> its id. Raises MapError for one it cannot keep."""
    vectors = np.ascontiguousarray(keyframe.descriptors, '<f4')
    assert vectors.ndim == 2 and vectors.shape[1] == dim, (vectors.shape, dim)
    if not np.isfinite(vectors).all():
        raise MapError(f'the descriptor of {keyframe.name} is not finite; nothing was added')
    if not len(vectors):
        raise MapError(f'{keyframe.name} has no descriptor; nothing was added')
    _refuse_duplicate(connection, keyframe.external_id)
    numbers = numbers_of(keyframe.pose, keyframe.name) if keyframe.pose else (None,) * 7
    cursor = connection.execute(
        f'INSERT INTO keyframes VALUES (NULL{", ?" * 16})',
        (
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
    row = connection.execute(_CANDIDATE, (keyframe_id,)).fetchone()
    if row is None:
        return None
    pose = None if row[4] is None else Pose(row[4:7], row[7:11])
    return Candidate(keyframe_id, row[0], similarity, row[1], row[2], row[3], pose, row[11:13])


def camera_of(text: str) -> Camera | None:
    """As a row has it."""
    if not text:
        return None
    values = json.loads(text)
    return Camera(**values | {'distortion': tuple(values['distortion'])})


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

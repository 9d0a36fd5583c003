"""Keyframes in SQLite: one transaction an addition, so that a kill loses nothing acknowledged."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import uuid
import zlib
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import MapError
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.place_map.checks import all_problems, intact
from cerfevpr_core.place_map.damage import damage, damage_named
from cerfevpr_core.place_map.keyframes import Candidate, Keyframe
from cerfevpr_core.place_map.manifest import Manifest, read_manifest, write_manifest

FILE = 'keyframes.sqlite'

_SCHEMA = """
CREATE TABLE manifest (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE keyframes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice, also after a removal
    name TEXT NOT NULL, external_id TEXT NOT NULL, traverse TEXT NOT NULL,
    stamp_ns INTEGER NOT NULL,
    x_m REAL, y_m REAL, z_m REAL, qx REAL, qy REAL, qz REAL, qw REAL,  -- NULL: no pose
    camera TEXT, thumbnail BLOB NOT NULL, height_px INTEGER NOT NULL, width_px INTEGER NOT NULL,
    has_points INTEGER NOT NULL);
CREATE UNIQUE INDEX external_ids ON keyframes (external_id) WHERE external_id != '';
CREATE TABLE descriptors (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    keyframe_id INTEGER NOT NULL REFERENCES keyframes (id) ON DELETE CASCADE,
    vector BLOB NOT NULL, crc INTEGER NOT NULL);  -- float32, little endian
CREATE INDEX descriptors_of ON descriptors (keyframe_id);
CREATE TABLE local_features (  -- as `pack` of landmarks and keypoints wrote them
    keyframe_id INTEGER NOT NULL REFERENCES keyframes (id) ON DELETE CASCADE,
    kind TEXT NOT NULL, content BLOB NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (keyframe_id, kind)) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Added:
    """Ids of new keyframes, and the generation of the map before and after them."""

    ids: list[int]
    before: str
    after: str


class KeyframeStore:
    """The SQLite file of a map; safe to use from several threads."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self.connection = connection
        self.lock = threading.RLock()
        self.manifest = read_manifest(folder, connection)

    @staticmethod
    def create(folder: Path, manifest: Manifest) -> KeyframeStore:
        """A new file. Raises MapError where there is a map already, or no room to write."""
        if (folder / FILE).exists():
            raise MapError(
                f'there is a map at {folder} already; choose another --out, '
                'or add to it with `cerfevpr map add`'
            )
        # Named .new until it is whole: a kill here must not leave half a map behind.
        partial = folder / f'{FILE}.{uuid.uuid4().hex[:8]}.new'
        try:
            folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(partial)
            with connection:
                connection.executescript(_SCHEMA)
                write_manifest(connection, manifest)
            connection.close()
            partial.replace(folder / FILE)
        except (OSError, sqlite3.Error) as error:
            raise MapError(f'no map can be written at {folder}: {error}') from None
        return KeyframeStore.open(folder)

    @staticmethod
    def open(folder: Path) -> KeyframeStore:
        """An existing file. Raises MapError if it is missing, foreign or damaged."""
        file = folder / FILE
        if not file.is_file():
            found = 'it does not exist' if not folder.exists() else f'it holds no {FILE}'
            raise MapError(
                f'no map at {folder}: {found}; build one with '
                f'`cerfevpr map build --images DIR --out {folder}`'
            )
        if not file.stat().st_size:
            raise damage(folder, f'{FILE} is empty')
        with damage_named(folder), ExitStack() as on_error:
            connection = sqlite3.connect(_uri(file), uri=True, check_same_thread=False, timeout=30)
            on_error.callback(connection.close)
            store = KeyframeStore(folder, connection)  # before a pragma changes a foreign file
            connection.execute('PRAGMA foreign_keys = ON')
            if os.access(folder, os.W_OK):
                connection.execute('PRAGMA journal_mode = WAL')
                connection.execute('PRAGMA synchronous = FULL')  # acknowledged means on disk
            on_error.pop_all()
            return store

    def add(self, keyframes: Iterable[Keyframe]) -> Added:
        """Append in one transaction: all of them or none."""
        with self.lock, damage_named(self.folder), self.connection:
            self.connection.execute('BEGIN IMMEDIATE')  # nobody writes between what we read
            before = self.generation()
            ids = [self._insert(keyframe) for keyframe in keyframes]
            return Added(ids, before, self._touch())

    def __len__(self) -> int:
        return int(self._one('SELECT COUNT(*) FROM keyframes'))

    def generation(self) -> str:
        """Changes with every write: tells whether something derived still fits."""
        return str(self._one("SELECT value FROM manifest WHERE key = 'generation'"))

    def vectors(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """All descriptors: keyframe ids (P,) and vectors (P, E).

        Raises MapError for a damaged one.
        """
        with self.lock, damage_named(self.folder):
            rows = self.connection.execute(
                'SELECT keyframe_id, vector, crc FROM descriptors ORDER BY id'
            ).fetchall()
        dim = self.manifest.descriptor_dim
        damaged = [i for i, vector, crc in rows if not intact(vector, crc, dim)]
        if damaged:
            raise damage(self.folder, f'the descriptor of keyframe {damaged[0]} has changed')
        ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        return ids, np.frombuffer(b''.join(row[1] for row in rows), '<f4').reshape(-1, dim)

    def candidates(self, found: Iterable[tuple[int, float]]) -> list[Candidate]:
        """Keyframe ids and similarities -> candidates, in the same order."""
        with self.lock, damage_named(self.folder):
            return [c for i, s in found if (c := self._candidate(i, s)) is not None]

    def local_features(self, kind: str, keyframe_ids: Iterable[int]) -> list[bytes | None]:
        """What is kept of keyframes under a kind, in the order asked for; None where nothing is.

        Raises MapError for a damaged one.
        """
        query = 'SELECT content, crc FROM local_features WHERE keyframe_id = ? AND kind = ?'
        found: list[bytes | None] = []
        with self.lock, damage_named(self.folder):
            for number in keyframe_ids:
                row = self.connection.execute(query, (number, kind)).fetchone()
                if row and zlib.crc32(row[0]) != row[1]:
                    raise damage(self.folder, f'the {kind} of keyframe {number} have changed')
                found.append(row[0] if row else None)
        return found

    def cameras(self, keyframe_ids: Iterable[int]) -> list[Camera | None]:
        """Of keyframes, in the order asked for."""
        query = 'SELECT camera FROM keyframes WHERE id = ?'
        texts = [self._one(query, number) for number in keyframe_ids]
        return [Camera(**_with_tuple(json.loads(text))) if text else None for text in texts]

    def poses(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Of all keyframes with points: ids (P,), and x, y, z, qx, qy, qz, qw (P, 7)."""
        with self.lock, damage_named(self.folder):
            rows = self.connection.execute(
                'SELECT id, x_m, y_m, z_m, qx, qy, qz, qw FROM keyframes '
                'WHERE x_m IS NOT NULL AND has_points'
            ).fetchall()
        table = np.array(rows, np.float64).reshape(-1, 8)
        return table[:, 0].astype(np.int64), table[:, 1:]

    def thumbnail(self, keyframe_id: int) -> bytes:
        """The keyframe's small picture (jpeg), empty where there is none."""
        return bytes(self._one('SELECT thumbnail FROM keyframes WHERE id = ?', keyframe_id) or b'')

    def everything(self) -> list[Candidate]:
        """All keyframes in the order they were added, with similarity 0: for lists and plots."""
        with self.lock, damage_named(self.folder):
            ids = self.connection.execute('SELECT id FROM keyframes ORDER BY id').fetchall()
        return self.candidates((row[0], 0.0) for row in ids)

    def problems(self) -> list[str]:
        """Every damage found, in words; empty for a sound file. Reads all of it."""
        with self.lock:
            return all_problems(self.connection, self.manifest.descriptor_dim)

    def backup(self, folder: Path) -> None:
        """A consistent copy in another folder, also while this map is in use."""
        if (folder / FILE).exists():
            raise MapError(f'there is a map at {folder} already; choose another place')
        partial = folder / f'{FILE}.{uuid.uuid4().hex[:8]}.new'
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self.lock, closing(sqlite3.connect(partial)) as copy:
                self.connection.backup(copy)
            partial.replace(folder / FILE)
        except (OSError, sqlite3.Error) as error:
            raise MapError(f'no copy of the map can be written at {folder}: {error}') from None

    def close(self) -> None:
        """Fold the log into the file, so that one file is the whole map."""
        with self.lock:
            self.connection.close()

    def _insert(self, keyframe: Keyframe) -> int:
        dim = self.manifest.descriptor_dim
        vectors = np.ascontiguousarray(keyframe.descriptors, '<f4')
        assert vectors.ndim == 2 and vectors.shape[1] == dim, (vectors.shape, dim)
        if not np.isfinite(vectors).all():
            raise MapError(f'the descriptor of {keyframe.name} is not finite; nothing was added')
        pose = keyframe.pose
        numbers = (*pose.position_m, *pose.quaternion) if pose else (None,) * 7
        camera = json.dumps(asdict(keyframe.camera)) if keyframe.camera else None
        self._refuse_duplicate(keyframe.external_id)
        cursor = self.connection.execute(
            f'INSERT INTO keyframes VALUES (NULL{", ?" * 16})',
            (
                keyframe.name,
                keyframe.external_id,
                keyframe.traverse,
                keyframe.stamp_ns,
                *numbers,
                camera,
                keyframe.thumbnail,
                *keyframe.size_px,
                keyframe.has_points,
            ),
        )
        assert cursor.lastrowid is not None
        for vector in vectors:
            blob = vector.tobytes()
            self.connection.execute(
                'INSERT INTO descriptors VALUES (NULL, ?, ?, ?)',
                (cursor.lastrowid, blob, zlib.crc32(blob)),
            )
        for kind, blob in keyframe.local_features.items():
            self.connection.execute(
                'INSERT INTO local_features VALUES (?, ?, ?, ?)',
                (cursor.lastrowid, kind, blob, zlib.crc32(blob)),
            )
        return cursor.lastrowid

    def _refuse_duplicate(self, external_id: str) -> None:
        query = "SELECT id FROM keyframes WHERE external_id = ? AND external_id != ''"
        if known := self._one(query, external_id):
            raise MapError(
                f'keyframe {known} of the map has the external_id {external_id!r} already; '
                'nothing was added; remove it first, or give another id'
            )

    def _touch(self) -> str:
        generation = uuid.uuid4().hex
        self.connection.execute(
            "INSERT OR REPLACE INTO manifest VALUES ('generation', ?)", (generation,)
        )
        return generation

    def _candidate(self, keyframe_id: int, similarity: float) -> Candidate | None:
        row = self.connection.execute(
            'SELECT name, external_id, traverse, stamp_ns, x_m, y_m, z_m, qx, qy, qz, qw, '
            'height_px, width_px FROM keyframes WHERE id = ?',
            (keyframe_id,),
        ).fetchone()
        if row is None:  # removed since the search
            return None
        pose = None if row[4] is None else Pose(row[4:7], row[7:11])
        return Candidate(keyframe_id, row[0], similarity, row[1], row[2], row[3], pose, row[11:13])

    def _one(self, query: str, *values: object) -> Any:
        with self.lock, damage_named(self.folder):
            row = self.connection.execute(query, values).fetchone()
        return row[0] if row else ''


def _uri(file: Path) -> str:
    """Writable where the folder is; else as a file that nobody changes."""
    quoted = file.resolve().as_uri()
    if os.access(file.parent, os.W_OK):
        return f'{quoted}?mode=rw'
    log = file.with_name(f'{file.name}-wal')
    if log.exists() and log.stat().st_size:  # an immutable file would be read without it
        raise MapError(
            f'the map at {file.parent} was not closed and its folder cannot be written; open it '
            'once where it can, as with `cerfevpr map info`'
        )
    return f'{quoted}?immutable=1'


def _with_tuple(camera: dict[str, Any]) -> dict[str, Any]:
    return camera | {'distortion': tuple(camera['distortion'])}

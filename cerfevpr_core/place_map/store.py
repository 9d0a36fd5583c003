"""Keyframes in SQLite: one transaction an addition, so that a kill loses nothing acknowledged."""

from __future__ import annotations

import sqlite3
import threading
import uuid
import zlib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import MapError
from cerfevpr_core.geometry import Camera
from cerfevpr_core.place_map.checks import all_problems, intact
from cerfevpr_core.place_map.damage import damage, damage_named
from cerfevpr_core.place_map.database import FILE, create_database, open_database
from cerfevpr_core.place_map.keyframes import Candidate, Keyframe
from cerfevpr_core.place_map.manifest import Manifest
from cerfevpr_core.place_map.rows import camera_of, candidate, insert


@dataclass(frozen=True)
class Added:
    """Ids of new keyframes, and the generation of the map before and after them."""

    ids: list[int]
    before: str
    after: str


class KeyframeStore:
    """The SQLite file of a map; safe to use from several threads."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, manifest: Manifest) -> None:
        self.folder = folder
        self.connection = connection
        self.manifest = manifest
        self.lock = threading.RLock()

    @staticmethod
    def create(folder: Path, manifest: Manifest) -> KeyframeStore:
        """A new file. Raises MapError where there is a map already, or no room to write."""
        create_database(folder, manifest)
        return KeyframeStore.open(folder)

    @staticmethod
    def open(folder: Path) -> KeyframeStore:
        """An existing file. Raises MapError if it is missing, foreign or damaged."""
        return KeyframeStore(folder, *open_database(folder))

    def add(self, keyframes: Iterable[Keyframe]) -> Added:
        """Append in one transaction: all of them or none."""
        with self.lock, damage_named(self.folder), self.connection:
            self.connection.execute('BEGIN IMMEDIATE')  # nobody writes between what we read
            before = self.generation()
            dim = self.manifest.descriptor_dim
            ids = [insert(self.connection, keyframe, dim) for keyframe in keyframes]
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
            rows = (candidate(self.connection, i, s) for i, s in found)
            return [row for row in rows if row is not None]

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
        return [camera_of(self._one(query, number)) for number in keyframe_ids]

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

    def _touch(self) -> str:
        generation = uuid.uuid4().hex
        self.connection.execute(
            "INSERT OR REPLACE INTO manifest VALUES ('generation', ?)", (generation,)
        )
        return generation

    def _one(self, query: str, *values: object) -> Any:
        with self.lock, damage_named(self.folder):
            row = self.connection.execute(query, values).fetchone()
        return row[0] if row else ''

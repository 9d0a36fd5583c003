"""Keyframes in SQLite: one transaction a change, so that a kill loses nothing acknowledged."""

from __future__ import annotations

import sqlite3
import threading
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import MapError
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.place_map.checks import all_problems, intact
from cerfevpr_core.place_map.damage import damage, damage_named
from cerfevpr_core.place_map.database import (
    FILE,
    create_database,
    file_identity,
    open_database,
    remove_partial,
    replaced,
    require_same_file,
)
from cerfevpr_core.place_map.keyframes import Candidate, Keyframe
from cerfevpr_core.place_map.manifest import Manifest
from cerfevpr_core.place_map.rows import (
    all_candidates,
    camera_of,
    candidate,
    insert,
    known_once,
    numbers_of,
    read_keyframe,
)


@dataclass(frozen=True)
class Changed:
    """Ids of keyframes that were changed, and the map's generation before and after."""

    ids: list[int]
    before: str
    after: str


class KeyframeStore:
    """The SQLite file of a map; safe to use from several threads and programs.

    Everything but `close` raises MapGoneError once the file was removed or replaced.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.identity = file_identity(folder)
        self.connection, self.manifest = open_database(folder)
        self.lock = threading.RLock()

    @staticmethod
    def create(folder: Path, manifest: Manifest) -> KeyframeStore:
        """A new file. Raises MapError where there is a map already, or no room to write."""
        create_database(folder, manifest)
        return KeyframeStore(folder)

    @staticmethod
    def open(folder: Path) -> KeyframeStore:
        """An existing file. Raises MapError if it is missing, foreign or damaged."""
        return KeyframeStore(folder)

    @contextmanager
    def using(self) -> Iterator[sqlite3.Connection]:
        """For one statement."""
        with self.lock, damage_named(self.folder):
            require_same_file(self.folder, self.identity)
            yield self.connection

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read inside is of one moment."""
        with self.using() as connection:
            connection.execute('BEGIN')
            try:
                yield
            finally:
                connection.rollback()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all that is written inside or, after an error, nothing."""
        with self.using() as connection, connection:
            connection.execute('BEGIN IMMEDIATE')  # nobody writes between what we read
            yield connection

    def add(self, keyframes: Iterable[Keyframe], ids: Iterable[int] | None = None) -> Changed:
        """Append in one transaction: all of them or none; under ids of their own, or new ones."""
        with self.writing() as connection:
            before, dim = self.generation(), self.manifest.descriptor_dim
            wanted = repeat(None) if ids is None else ids
            added = [
                insert(connection, k, dim, i) for k, i in zip(keyframes, wanted, strict=False)
            ]
            return Changed(added, before, self._touch())

    def remove(self, keyframe_ids: Sequence[int]) -> Changed:
        """All of them or, where one is unknown, none."""
        with self.writing() as connection:
            before, ids = self.generation(), known_once(connection, keyframe_ids)
            connection.executemany('DELETE FROM keyframes WHERE id = ?', [(i,) for i in ids])
            return Changed(ids, before, self._touch())

    def update_poses(self, keyframe_ids: Sequence[int], poses: Sequence[Pose]) -> Changed:
        """All of them or, where an id is unknown or a pose is none, nothing."""
        if len(keyframe_ids) != len(poses):
            raise MapError(
                f'{len(keyframe_ids)} keyframes and {len(poses)} poses; nothing changed'
            )
        with self.writing() as connection:
            before, ids = self.generation(), known_once(connection, keyframe_ids)
            rows = [
                (*numbers_of(pose, f'keyframe {number}'), number)
                for number, pose in zip(ids, poses, strict=True)
            ]
            connection.executemany(
                'UPDATE keyframes SET x_m = ?, y_m = ?, z_m = ?, qx = ?, qy = ?, qz = ?, qw = ? '
                'WHERE id = ?',
                rows,
            )
            return Changed(ids, before, self._touch())

    def __len__(self) -> int:
        return int(self._one('SELECT COUNT(*) FROM keyframes'))

    def data_version(self) -> int:
        """Another number once another program, or another opening, has written."""
        return int(self._one('PRAGMA data_version'))

    def generation(self) -> str:
        """Changes with every write: tells whether something derived still fits."""
        return str(self._one("SELECT value FROM manifest WHERE key = 'generation'"))

    def require_same_map(self) -> None:
        """Raises MapGoneError if another map was copied into the open file."""
        if self.note('map_id') != self.manifest.map_id:
            raise replaced(self.folder)

    def note(self, key: str) -> Any:
        """What is kept beside the keyframes under a name, or None."""
        with self.using() as connection:
            query = 'SELECT value FROM manifest WHERE key = ?'
            row = connection.execute(query, (key,)).fetchone()
        return row[0] if row else None

    def put_notes(self, notes: dict[str, Any]) -> None:
        """Keep something beside the keyframes, none of which it changes; inside `writing`."""
        assert self.connection.in_transaction, 'what belongs together is written together'
        self.connection.executemany('INSERT OR REPLACE INTO manifest VALUES (?, ?)', notes.items())

    def find(self, external_id: str) -> int | None:
        """The keyframe that another system knows by this id."""
        query = "SELECT id FROM keyframes WHERE external_id = ? AND external_id != ''"
        found = self._one(query, external_id)
        return int(found) if found else None

    def traverses(self, above_id: int = 0) -> list[tuple[int, str]]:
        """(keyframe id, its traverse) of all that came after an id."""
        with self.using() as connection:
            query = 'SELECT id, traverse FROM keyframes WHERE id > ? ORDER BY id'
            return connection.execute(query, (above_id,)).fetchall()

    def ids(self) -> NDArray[np.int64]:
        """Of all keyframes, ascending."""
        with self.using() as connection:  # the small index, not the rows with their pictures
            query = 'SELECT DISTINCT keyframe_id FROM descriptors ORDER BY keyframe_id'
            rows = connection.execute(query).fetchall()
        return np.fromiter((row[0] for row in rows), np.int64, len(rows))

    def vectors(self, above_id: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """All descriptors of keyframes above an id: keyframe ids (P,) and vectors (P, E).

        Raises MapError for a damaged one.
        """
        with self.using() as connection:
            rows = connection.execute(
                'SELECT keyframe_id, vector, crc FROM descriptors WHERE keyframe_id > ? '
                'ORDER BY id',
                (above_id,),
            ).fetchall()
        dim = self.manifest.descriptor_dim
        damaged = [i for i, vector, crc in rows if not intact(vector, crc, dim)]
        if damaged:
            raise damage(self.folder, f'the descriptor of keyframe {damaged[0]} has changed')
        ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        return ids, np.frombuffer(b''.join(row[1] for row in rows), '<f4').reshape(-1, dim)

    def candidates(self, found: Iterable[tuple[int, float]]) -> list[Candidate]:
        """Keyframe ids and similarities -> candidates, in the same order."""
        with self.using() as connection:
            rows = (candidate(connection, i, s) for i, s in found)
            return [row for row in rows if row is not None]

    def local_features(self, kind: str, keyframe_ids: Iterable[int]) -> list[bytes | None]:
        """What is kept of keyframes under a kind, in the order asked for; None where nothing is.

        Raises MapError for a damaged one.
        """
        query = 'SELECT content, crc FROM local_features WHERE keyframe_id = ? AND kind = ?'
        found: list[bytes | None] = []
        with self.using() as connection:
            for number in keyframe_ids:
                row = connection.execute(query, (number, kind)).fetchone()
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
        with self.using() as connection:
            rows = connection.execute(
                'SELECT id, x_m, y_m, z_m, qx, qy, qz, qw FROM keyframes '
                'WHERE x_m IS NOT NULL AND has_points'
            ).fetchall()
        table = np.array(rows, np.float64).reshape(-1, 8)
        return table[:, 0].astype(np.int64), table[:, 1:]

    def keyframe(self, keyframe_id: int) -> Keyframe:
        """All that is kept of one. Raises MapError where it is unknown or damaged."""
        with self.using() as connection:
            try:
                found = read_keyframe(connection, keyframe_id)
            except ValueError as error:
                raise damage(self.folder, str(error)) from None
        if found is None:
            raise MapError(f'the map at {self.folder} has no keyframe {keyframe_id}')
        return found

    def thumbnail(self, keyframe_id: int) -> bytes:
        """The keyframe's small picture (jpeg), empty where there is none."""
        return bytes(self._one('SELECT thumbnail FROM keyframes WHERE id = ?', keyframe_id) or b'')

    def everything(self) -> list[Candidate]:
        """All keyframes in the order they were added, with similarity 0: for lists and plots."""
        with self.using() as connection:
            return all_candidates(connection)

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
                require_same_file(self.folder, self.identity)
                self.connection.backup(copy)
            partial.replace(folder / FILE)
        except (OSError, sqlite3.Error) as error:
            remove_partial(partial)
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
        with self.using() as connection:
            row = connection.execute(query, values).fetchone()
        return row[0] if row else ''

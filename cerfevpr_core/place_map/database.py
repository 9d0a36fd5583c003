"""The SQLite file of a map: its tables, how it is made and how it is opened."""

from __future__ import annotations

import os
import sqlite3
import uuid
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from cerfevpr_core.errors import MapError, MapGoneError
from cerfevpr_core.place_map.damage import damage, damage_named
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


def create_database(folder: Path, manifest: Manifest) -> None:
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
        with closing(sqlite3.connect(partial)) as connection, connection:
            connection.executescript(_SCHEMA)
            write_manifest(connection, manifest)
        partial.replace(folder / FILE)
    except (OSError, sqlite3.Error) as error:
        remove_partial(partial)
        raise MapError(f'no map can be written at {folder}: {error}') from None


def remove_partial(file: Path) -> None:
    """What is left of a database that could not be written whole."""
    for left in (file, file.with_name(f'{file.name}-journal')):
        with suppress(OSError):
            left.unlink(missing_ok=True)


def open_database(folder: Path) -> tuple[sqlite3.Connection, Manifest]:
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
        manifest = read_manifest(folder, connection)  # before a pragma changes a foreign file
        connection.execute('PRAGMA foreign_keys = ON')
        if os.access(folder, os.W_OK):
            connection.execute('PRAGMA journal_mode = WAL')
            connection.execute('PRAGMA synchronous = FULL')  # acknowledged means on disk
        on_error.pop_all()
        return connection, manifest


def file_identity(folder: Path) -> tuple[int, int] | None:
    """Tells the file of a map from another one of the same name; None where there is none."""
    try:
        status = (folder / FILE).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def require_same_file(folder: Path, opened: tuple[int, int] | None) -> None:
    """Raises MapGoneError if the file that was opened is no longer there."""
    # SQLite itself would go on with a file that has no name any more, and lose what it writes.
    now = file_identity(folder)
    if now == opened:
        return
    if now is None:
        raise MapGoneError(
            f'the map at {folder} was removed or moved while it was open; put it back and load '
            'it again, or load another'
        )
    raise replaced(folder)


def replaced(folder: Path) -> MapGoneError:
    return MapGoneError(
        f'another map was put at {folder} while the one before it was open; load it again'
    )


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

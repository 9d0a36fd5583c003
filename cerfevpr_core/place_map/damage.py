"""What SQLite says of a file that is foreign or damaged -> what the user can do about it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cerfevpr_core.errors import DamagedMapError, MapError


def damage(folder: Path, reason: str) -> DamagedMapError:
    return DamagedMapError(
        f'the map at {folder} is damaged: {reason}; `cerfevpr map check {folder}` says more; '
        'restore a copy, or build it again with `cerfevpr map build`'
    )


@contextmanager
def damage_named(folder: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.OperationalError, sqlite3.ProgrammingError) as error:  # as of a closed map
        raise _unusable(folder, str(error)) from None
    except sqlite3.DatabaseError as error:
        raise damage(folder, str(error)) from None
    except (OverflowError, UnicodeError) as error:
        raise MapError(
            f'the map at {folder} cannot hold this ({error}); nothing changed'
        ) from None


def _unusable(folder: Path, reason: str) -> MapError:
    if 'no such table' in reason or 'no such column' in reason:
        return MapError(
            f'{folder}/keyframes.sqlite is a database of something else ({reason}); '
            'choose a folder made by `cerfevpr map build`'
        )
    if 'full' in reason or 'disk I/O' in reason:
        return MapError(
            f'the map at {folder} cannot be written: {reason}; nothing changed, and all that was '
            'acknowledged is there; free some space and try again'
        )
    return MapError(f'the map at {folder} cannot be used: {reason}')

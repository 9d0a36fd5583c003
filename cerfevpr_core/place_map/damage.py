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
    except sqlite3.OperationalError as error:
        if 'no such table' not in str(error) and 'no such column' not in str(error):
            raise MapError(f'the map at {folder} cannot be used: {error}') from None
        raise MapError(
            f'{folder}/keyframes.sqlite is a database of something else ({error}); '
            'choose a folder made by `cerfevpr map build`'
        ) from None
    except sqlite3.DatabaseError as error:
        raise damage(folder, str(error)) from None

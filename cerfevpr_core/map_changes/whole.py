"""A new map that appears under its name when it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cerfevpr_core.errors import MapError


def require_free(out: Path) -> None:
    """Refuse a place that holds something already, before long work. Raises MapError."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise MapError(f'{out} exists and is not empty; choose another --out, or use `map add`')


def partial_of(out: Path) -> Path:
    """Where a map is made meanwhile. The name is one that nobody else gives: it is removed."""
    return out.with_name(f'.{out.name}.cerfevpr-partial')


@contextmanager
def appearing_whole(out: Path) -> Iterator[Path]:
    """A folder to make the map in, which then becomes `out`; after an error nothing is left.

    Raises MapError where `out` holds something already or cannot be written.
    """
    require_free(out)
    whole = out.resolve()  # `.` has no name of its own
    partial = partial_of(whole)
    shutil.rmtree(partial, ignore_errors=True)  # of one that was killed
    try:
        yield partial
        if whole.exists():
            whole.rmdir()
        partial.rename(whole)
    except OSError as error:
        raise MapError(f'no map can be written at {out}: {error}') from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)

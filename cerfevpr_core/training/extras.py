"""Libraries that only training needs are imported where it starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cerfevpr_core.errors import ConfigError


@contextmanager
def needs(extra: str) -> Iterator[None]:
    """Around imports of an extra of setup.py: says how to install it where it is missing."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"training needs {error.name}, which is not installed; `pip install '.[{extra}]'`"
        ) from None

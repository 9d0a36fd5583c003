"""How a training shows itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

_T = TypeVar('_T')


def _quiet(items: Iterable[_T], what: str, count: int) -> Iterable[_T]:
    return items


@dataclass(frozen=True)
class Watch:
    """A bar over what takes long, and a line an epoch."""

    track: Callable[[Iterable[Any], str, int], Iterable[Any]] = _quiet
    say: Callable[[str], None] = lambda text: None


SILENT = Watch()

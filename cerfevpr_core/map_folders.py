"""Which folders a service may write to and read from."""

from __future__ import annotations

from pathlib import Path

from cerfevpr_core.errors import MapError

_MAX_PATH = 1024
_MAX_PART = 255  # of file systems


class MapRoot:
    """A folder with maps. Paths from outside lead below it or are refused."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().resolve()

    def below(self, text: str) -> Path:
        """The folder that a path names: relative to the root, or absolute and below it.

        Raises MapError for one that leads elsewhere, also by a symbolic link.
        """
        if not text or len(text) > _MAX_PATH or not text.isprintable():
            raise MapError(
                f'the path {text[:80]!r} has {len(text)} characters, expected 1 to {_MAX_PATH}, '
                'all printable'
            )
        parts = Path(text).parts
        if '..' in parts:
            raise MapError(f'the path {text[:80]!r} has .. in it; give it without')
        if max((len(part.encode()) for part in parts), default=0) > _MAX_PART:
            raise MapError(f'the path {text[:80]!r} has a part of more than {_MAX_PART} bytes')
        named = self.folder / text
        try:
            resolved = named.resolve()
        except (OSError, RuntimeError) as error:  # a loop of links
            raise MapError(f'the path {text[:80]!r} leads nowhere: {error}') from None
        if resolved == self.folder or not resolved.is_relative_to(self.folder):
            raise MapError(
                f'the path {text[:80]!r} does not lead below {self.folder}; services read and '
                'write maps there alone (parameter map_root)'
            )
        return resolved

    def existing(self, text: str) -> Path:
        """As `below`, for a map that is to be read: nothing in it may lead out either."""
        folder = self.below(text)
        for file in folder.iterdir() if folder.is_dir() else ():
            if not file.resolve().is_relative_to(self.folder):
                raise MapError(f'{file} leads out of {self.folder}; copy the file itself there')
        return folder

    def free(self, text: str) -> Path:
        """As `below`, for a map that is to be written: nothing may be there."""
        folder = self.below(text)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise MapError(f'{folder} is there already; choose another path')
        return folder

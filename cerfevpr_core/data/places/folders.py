"""Folders of places: each folder below the root holds the images of one place."""

from __future__ import annotations

from pathlib import Path

from cerfevpr_core.data.places.place import Place
from cerfevpr_core.errors import ImageError
from cerfevpr_core.images import SUFFIXES, natural_key


def read_folders(root: Path) -> list[Place]:
    """One place for each folder with images. Raises ImageError where there is none."""
    places = [Place(f.name, tuple(images_of(f))) for f in subfolders(root) if images_of(f)]
    if not places:
        raise ImageError(
            f'{root} holds no places; expected a folder with jpg or png files for each place, '
            'a poses.txt or positions.csv beside the images, or a set of another --layout'
        )
    return places


def subfolders(root: Path) -> list[Path]:
    """The folders below a folder, in natural order. Raises ImageError where it is missing."""
    try:
        found = [f for f in root.iterdir() if f.is_dir()]
    except OSError as error:
        raise ImageError(f'cannot read the folder {root}: {error.strerror}') from None
    return sorted(found, key=lambda f: natural_key(f.name))


def images_of(folder: Path) -> list[Path]:
    """The jpg and png files of a folder, in natural order; perhaps none."""
    files = [f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES]
    return sorted(files, key=lambda f: natural_key(f.name))


def read_images(root: Path) -> list[Place]:
    """Each image below a folder as a place of its own. Raises ImageError where there is none."""
    folders = [root, *(f for f in sorted(root.rglob('*')) if f.is_dir())] if root.is_dir() else []
    places = [Place(f.stem, (f,)) for folder in folders for f in images_of(folder)]
    if not places:
        raise ImageError(f'{root} holds no images; expected jpg or png files in it or below')
    return places

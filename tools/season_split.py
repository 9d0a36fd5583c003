"""Lay out the split that the season generators are trained and measured on.

    python tools/season_split.py UNPAIRED_SEASONS OUT

UNPAIRED_SEASONS holds the public sets yosemite_summer_winter and bdd_day_night. OUT gets folders
of links: `train/CONDITION` for the generators, `classify/CONDITION` for the classifiers that
judge them, `translate/CONDITION` for the images that are translated and judged. No image is in
two of them. docs/generators.md shows the commands that follow.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path


def yosemite(root: Path) -> dict[str, list[Path]]:
    """The test images are translated; every fifth of the others teaches the classifiers."""
    parts = {}
    for condition, letter in (('summer', 'A'), ('winter', 'B')):
        files = sorted((root / f'train{letter}').glob('*.jpg'))
        held_out = files[3::5]
        parts[f'classify/{condition}'] = held_out
        parts[f'train/{condition}'] = [file for file in files if file not in set(held_out)]
        parts[f'translate/{condition}'] = sorted((root / f'test{letter}').glob('*.jpg'))
    return parts


def bdd(root: Path) -> dict[str, list[Path]]:
    """Of 1000 images in order of number: 700 to train on, 200 to classify, 100 to translate."""
    parts = {}
    for condition, letter in (('day', 'A'), ('night', 'B')):
        files = sorted((root / f'train_{letter}').glob('*.jpg'))
        parts[f'train/{condition}'] = files[:700]
        parts[f'classify/{condition}'] = files[700:900]
        parts[f'translate/{condition}'] = files[900:]
    return parts


def lay_out(parts: dict[str, list[Path]], out: Path) -> Iterable[str]:
    """Make the folders; a line about each."""
    for name, files in parts.items():
        folder = out / name
        folder.mkdir(parents=True)
        for file in files:
            (folder / file.name).symlink_to(file.resolve())
        yield f'{len(files):4} images -> {folder}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('seasons', type=Path, metavar='UNPAIRED_SEASONS')
    parser.add_argument('out', type=Path, metavar='OUT')
    options = parser.parse_args()
    root = options.seasons
    parts = yosemite(root / 'yosemite_summer_winter') | bdd(root / 'bdd_day_night')
    for line in lay_out(parts, options.out):
        print(line)  # noqa: T201


if __name__ == '__main__':
    main()

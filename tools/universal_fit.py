"""Fit on many places what a map that starts empty cannot fit on its own images.

    python tools/universal_fit.py --images FOLDER=COUNT ... --without FOLDER ... --out FILE

Takes COUNT images of each folder, evenly spread over its sorted names, but none that is in a
folder of --without (links followed). The file belongs to the descriptor of the settings (--set);
put it to cerfevpr_core/models/universal.safetensors when another descriptor ships.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from cerfevpr_core.checkpoint import save_network
from cerfevpr_core.config import load_config
from cerfevpr_core.describer import Describer, evenly
from cerfevpr_core.images import Image, read_image
from cerfevpr_core.universal import descriptor_hash


def files_below(folder: Path) -> list[Path]:
    """Images at any depth, links followed, sorted."""
    found = (
        Path(root) / name
        for root, _, names in os.walk(folder, followlinks=True)
        for name in names
        if name.endswith(('.jpg', '.png'))
    )
    return sorted(found)


def chosen(source: str, left_out: set[Path]) -> list[Path]:
    """Of one FOLDER=COUNT."""
    folder, _, count = source.rpartition('=')
    files = [file for file in files_below(Path(folder)) if file.resolve() not in left_out]
    return [files[i] for i in evenly(len(files), int(count))]


def images_of(files: list[Path]) -> Iterator[Image]:
    for number, file in enumerate(files, start=1):
        yield read_image(file)
        if number % 100 == 0:
            sys.stdout.write(f'{number} of {len(files)}\n')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', action='append', required=True, metavar='FOLDER=COUNT')
    parser.add_argument('--without', action='append', default=[], type=Path, metavar='FOLDER')
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--set', action='append', default=[], dest='assignments')
    options = parser.parse_args()
    left_out = {file.resolve() for folder in options.without for file in files_below(folder)}
    files = [file for source in options.images for file in chosen(source, left_out)]
    describer = Describer(load_config(None, options.assignments))
    describer.fit(images_of(files))
    fitted = describer.fitted()
    state = {name: torch.from_numpy(fitted[name]) for name in ('narrow', 'words')}
    notes = {
        'descriptor': descriptor_hash(describer.config),
        'data': ', '.join(Path(source).name for source in options.images),
        'num_images': len(files),
    }
    save_network(options.out, state, {}, notes)
    sys.stdout.write(f'{options.out}: of {len(files)} images\n')


if __name__ == '__main__':
    main()

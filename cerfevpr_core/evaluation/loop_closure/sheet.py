"""A picture of a drive's closures: each image beside the older one that it was found to show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw

from cerfevpr_core.images import list_images, read_image, shrink

from .measure import Drive
from .result import is_true

_WIDTH_PX, _CAPTION_PX, _COLUMNS = 200, 14, 3
_COLOURS = {None: (110, 110, 110), True: (0, 158, 115), False: (213, 94, 0)}


def draw_closures(
    images: Path, drive: Drive, truth: NDArray[np.bool_] | None
) -> PilImage.Image | None:
    """All closures of images in their order; captions green if true, orange if false, else grey.

    `images` is the folder that was driven. None where nothing was closed.
    """
    files = {file.name: file for file in list_images(images)}
    names = [each.name for each in drive.asked]
    tiles = []
    for each in drive.asked:
        found = each.answer.found
        if found is None:
            continue
        older = names[drive.of_keyframe[found.to_id]]
        right = None if truth is None else is_true(found, drive.of_keyframe, truth)
        caption = f'{each.name} = {older}: {found.num_inliers} inliers'
        pair = [shrink(read_image(files[name]), _WIDTH_PX) for name in (each.name, older)]
        tiles.append(_tile(pair, caption, _COLOURS[right]))
    return _sheet(tiles) if tiles else None


def _tile(
    pair: Sequence[NDArray[np.uint8]], caption: str, colour: tuple[int, int, int]
) -> PilImage.Image:
    height = max(len(image) for image in pair)
    tile = PilImage.new('RGB', (2 * _WIDTH_PX, height + _CAPTION_PX), colour)
    for number, image in enumerate(pair):
        tile.paste(PilImage.fromarray(image), (number * _WIDTH_PX, _CAPTION_PX))
    ImageDraw.Draw(tile).text((3, 1), caption, fill='white')
    return tile


def _sheet(tiles: Sequence[PilImage.Image]) -> PilImage.Image:
    height, width = max(t.height for t in tiles) + 4, tiles[0].width + 4
    rows = -(-len(tiles) // _COLUMNS)
    sheet = PilImage.new('RGB', (_COLUMNS * width, rows * height), 'white')
    for number, tile in enumerate(tiles):
        row, column = divmod(number, _COLUMNS)
        sheet.paste(tile, (column * width, row * height))
    return sheet

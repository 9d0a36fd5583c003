"""Letters for the pictures that the program draws."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib
from PIL import ImageFont


@cache
def font(size_px: int, weight: str = '') -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and has the check mark; Pillow's own has not."""
    name = f'DejaVuSans-{weight}.ttf' if weight else 'DejaVuSans.ttf'
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', name)), size_px)


def tail(text: str, letters: ImageFont.FreeTypeFont, width_px: int) -> str:
    """The text if it fits, else its end: the end of a file name says which one it is."""
    if letters.getlength(text) <= width_px:
        return text
    while text and letters.getlength(f'…{text}') > width_px:
        text = text[1:]
    return f'…{text}'

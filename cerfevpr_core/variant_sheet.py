"""A picture of an image's variants, each under its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image as PilImage
from PIL import ImageDraw
from torch import Tensor

from cerfevpr_core.errors import ImageError

_LINE_PX, _GAP_PX = 16, 4


def write_sheet(variants: Tensor, names: Sequence[str], file: Path) -> None:
    """(V, 3, H, W) in [0, 1] side by side as jpg or png. Raises ImageError."""
    num_variants, _, height, width = variants.shape
    size = (num_variants * (width + _GAP_PX) - _GAP_PX, height + _LINE_PX)
    sheet = PilImage.new('RGB', size, 'white')
    draw = ImageDraw.Draw(sheet)
    pixels = (variants * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    for i, (name, variant) in enumerate(zip(names, pixels, strict=True)):
        left = i * (width + _GAP_PX)
        sheet.paste(PilImage.fromarray(variant), (left, _LINE_PX))
        draw.text((left + 2, 2), name, fill='black')
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(file, quality=92)
    except OSError as error:
        raise ImageError(f'cannot write {file}: {error}; choose another path') from None

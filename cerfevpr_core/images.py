"""Read, list and resize images; RGB uint8 (H, W, 3) at the border, float (3, H, W) inside."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PilImage
from torch import Tensor

from cerfevpr_core.errors import ImageError
from cerfevpr_core.pixel_formats import decode_compressed

Image = NDArray[np.uint8]

SUFFIXES = ('.jpg', '.jpeg', '.png')


def list_images(folder: Path) -> list[Path]:
    """The jpg and png files of a folder, in natural order of their names (2 before 10).

    Raises ImageError for a folder that is missing, unreadable or without images.
    """
    try:
        files = [f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file()]
    except FileNotFoundError:
        raise ImageError(f'no folder {folder}; check the path') from None
    except NotADirectoryError:
        raise ImageError(f'{folder} is a file; expected a folder of images') from None
    except OSError as error:
        raise ImageError(
            f'the folder {folder} cannot be read: {error.strerror}; check its permissions'
        ) from None
    if not files:
        raise ImageError(f'{folder} holds no images; expected files that end in jpg or png')
    for file in files:
        _check_name(file)
    return sorted(files, key=lambda f: (natural_key(f.name), f.name))


def _check_name(file: Path) -> None:
    try:
        file.name.encode()
    except UnicodeEncodeError:
        raise ImageError(f'the name of {str(file)!r} is not UTF-8; rename the file') from None


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sort key in which numbers inside a name count as numbers."""
    return [
        (int(part), '') if part.isdecimal() else (-1, part) for part in re.split(r'(\d+)', name)
    ]


def read_image(file: Path) -> Image:
    """One image file as RGB (H, W, 3). Raises ImageError, naming the file."""
    try:
        return decode_compressed(file.read_bytes(), file.suffix[1:])
    except OSError as error:
        raise ImageError(f'cannot read {file}: {error.strerror}; check the path') from None
    except ImageError as error:
        raise ImageError(f'{file}: {error}') from None


def check_image(image: Image) -> Image:
    """The image itself if it is RGB uint8 (H, W, 3) with pixels in it, else ImageError."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ImageError(
            f'expected RGB pixels, uint8 (H, W, 3), found {image.dtype} {image.shape}'
        )
    if 0 in image.shape:
        raise ImageError(f'the image is empty: {image.shape[1]} x {image.shape[0]} pixels')
    return image


def to_tensor(image: Image, size: tuple[int, ...]) -> Tensor:
    """RGB (H, W, 3) -> float (3, height, width) in [0, 1], squeezed to size, bicubic."""
    height, width = size
    resized = PilImage.fromarray(check_image(image)).resize(
        (width, height), PilImage.Resampling.BICUBIC
    )
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255


def shrink(image: Image, longest_px: int) -> Image:
    """A smaller copy whose longer side is at most so many pixels."""
    pil = PilImage.fromarray(image)
    pil.thumbnail((longest_px, longest_px), PilImage.Resampling.BICUBIC)
    return np.asarray(pil)

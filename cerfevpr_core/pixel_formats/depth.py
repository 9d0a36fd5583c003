"""Depth images -> metres."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cerfevpr_core.errors import ImageError
from cerfevpr_core.pixel_formats.rows import (
    Depth,
    PixelData,
    as_bytes,
    check_size,
    image_rows,
    sample_type,
)

_EXPECTED = 'expected a 16-bit grey png in millimetres'

# REP 118: encoding -> kind and bytes of a sample, metres in its unit.
_DEPTHS = {'16UC1': ('u', 2, 1e-3), '32FC1': ('f', 4, 1.0)}


def decode_depth(
    data: PixelData, height: int, width: int, encoding: str, step: int, is_bigendian: bool = False
) -> Depth:
    """Depth (H, W) float32 in metres of 16UC1 (millimetres) or 32FC1 (metres).

    0 where the camera does not know: 0, negative, NaN or infinite in the message. Raises
    ImageError for another encoding and for a wrong size.
    """
    check_size(height, width)
    if encoding not in _DEPTHS:
        raise ImageError(
            f'{encoding[:40]!r} is no depth image; expected 16UC1 (millimetres) or 32FC1 '
            '(metres): is the depth topic the right one?'
        )
    kind, num_bytes, unit_m = _DEPTHS[encoding]
    what = f'{encoding} depth image of {width} x {height} pixels'
    dtype = sample_type(num_bytes, bool(is_bigendian), kind)
    rows = image_rows(as_bytes(data), height, width, dtype, step, what)
    depth_m = rows.astype(np.float32)
    depth_m *= np.float32(unit_m)
    depth_m[~(np.isfinite(depth_m) & (depth_m > 0))] = 0
    return depth_m


def decode_depth_png(data: bytes) -> NDArray[np.uint16]:
    """The samples (H, W) of a 16-bit grey PNG, mostly millimetres. Raises ImageError."""
    try:
        with Image.open(io.BytesIO(data), formats=('PNG',)) as picture:  # reads the header alone
            check_size(picture.height, picture.width)
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f'{_EXPECTED}, it is no png') from None
    except Exception as error:  # damaged bytes make Pillow and OpenCV raise many types
        raise ImageError(f'{_EXPECTED}, it cannot be read ({error})') from None
    if samples is None:
        raise ImageError(f'{_EXPECTED}, it cannot be read')
    if samples.ndim != 2 or samples.dtype != np.uint16:
        raise ImageError(f'{_EXPECTED}, it is {samples.dtype} of shape {samples.shape}')
    return np.asarray(samples, np.uint16)

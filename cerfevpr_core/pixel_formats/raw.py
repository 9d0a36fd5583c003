"""Uncompressed pixels, in ROS's encodings, -> RGB."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import ImageError
from cerfevpr_core.pixel_formats.rows import (
    RGB,
    PixelData,
    as_bytes,
    check_size,
    image_rows,
    sample_type,
)

_UINT8 = np.dtype(np.uint8)


def decode_raw(
    data: PixelData, height: int, width: int, encoding: str, step: int, is_bigendian: bool = False
) -> RGB:
    """RGB (H, W, 3) uint8, a new array, of a message's pixels.

    16-bit samples keep their high byte. 8UC3 and 8UC4 are BGR and BGRA, OpenCV's order, which
    names them. Raises ImageError for an encoding that is no image, and for a wrong size.
    """
    check_size(height, width)
    what = f'{encoding} image of {width} x {height} pixels'
    if encoding in _PLANAR:
        return _PLANAR[encoding](as_bytes(data), height, width, step, what)
    layout = _layout(encoding)
    if width % layout.even or min(height, width) < layout.smallest:
        raise ImageError(f'{what}: {layout.size_rule}; check what the camera driver publishes')
    dtype = sample_type(layout.sample_bytes, bool(is_bigendian))
    row_samples = width * layout.channels
    samples = image_rows(as_bytes(data), height, row_samples, dtype, step, what)
    return layout.to_rgb(_high_bytes(samples).reshape(height, width, layout.channels))


def supported_encodings() -> list[str]:
    """The encodings that `decode_raw` takes."""
    return [*_LAYOUTS, *_PLANAR]


@dataclass(frozen=True)
class _Layout:
    """How a pixel lies in memory, and the way from uint8 (H, W, channels) to RGB (H, W, 3)."""

    channels: int
    to_rgb: Callable[[NDArray[np.uint8]], RGB]
    sample_bytes: int = 1
    even: int = 1  # the width is a multiple of this
    smallest: int = 1  # neither side is shorter
    size_rule: str = ''


def _high_bytes(samples: NDArray[Any]) -> NDArray[np.uint8]:
    return samples if samples.dtype == np.uint8 else (samples >> 8).astype(np.uint8)


def _convert(code: int) -> Callable[[NDArray[np.uint8]], RGB]:
    return lambda pixels: np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def _same(pixels: NDArray[np.uint8]) -> RGB:
    # A copy (30 microseconds at VGA): the message's memory may be read-only, padded or reused.
    return np.array(pixels, order='C')


def _bayer(code: int) -> _Layout:
    rule = 'a Bayer mosaic has at least 3 pixels a side'  # OpenCV returns black below
    return _Layout(1, _convert(code), smallest=3, size_rule=rule)


def _yuv422(code: int) -> _Layout:
    rule = 'YUV 4:2:2 has an even width, for two pixels share their colour'
    return _Layout(2, _convert(code), even=2, size_rule=rule)


_EIGHT_BIT = {
    'rgb8': _Layout(3, _same),
    'bgr8': _Layout(3, _convert(cv2.COLOR_BGR2RGB)),
    'rgba8': _Layout(4, _convert(cv2.COLOR_RGBA2RGB)),
    'bgra8': _Layout(4, _convert(cv2.COLOR_BGRA2RGB)),
    'mono8': _Layout(1, _convert(cv2.COLOR_GRAY2RGB)),
    # ROS names a pattern by the first pixels of its first row, OpenCV by those one row and one
    # column further: ROS's rggb is OpenCV's BG.
    'bayer_rggb8': _bayer(cv2.COLOR_BayerBG2RGB),
    'bayer_bggr8': _bayer(cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg8': _bayer(cv2.COLOR_BayerGR2RGB),
    'bayer_grbg8': _bayer(cv2.COLOR_BayerGB2RGB),
}
_SIXTEEN_BIT = {
    name.replace('8', '16'): replace(layout, sample_bytes=2) for name, layout in _EIGHT_BIT.items()
}
_LAYOUTS = {
    **_EIGHT_BIT,
    **_SIXTEEN_BIT,
    '8UC1': _EIGHT_BIT['mono8'],
    '8UC3': _EIGHT_BIT['bgr8'],
    '8UC4': _EIGHT_BIT['bgra8'],
    '16UC1': _SIXTEEN_BIT['mono16'],
    'uyvy': _yuv422(cv2.COLOR_YUV2RGB_UYVY),
    'yuv422': _yuv422(cv2.COLOR_YUV2RGB_UYVY),
    'yuyv': _yuv422(cv2.COLOR_YUV2RGB_YUY2),
    'yuv422_yuy2': _yuv422(cv2.COLOR_YUV2RGB_YUY2),
}


def _from_nv21(data: memoryview, height: int, width: int, step: int, what: str) -> RGB:
    # (H, W) of Y, then (H / 2, W) of V and U in turns, each pair for 2 x 2 pixels.
    if height % 2 or width % 2:
        raise ImageError(
            f'{what}: YUV 4:2:0 has an even width and height, for 2 x 2 pixels share their '
            'colour; check what the camera driver publishes'
        )
    planes = image_rows(data, height * 3 // 2, width, _UINT8, step, what)
    return _convert(cv2.COLOR_YUV2RGB_NV21)(planes)


def _from_nv24(data: memoryview, height: int, width: int, step: int, what: str) -> RGB:
    # (H, W) of Y, then (H, 2 W) of U and V in turns, whose rows are twice as long.
    luma = image_rows(data, height, width, _UINT8, step, what)
    chroma_data, chroma_step = data[height * step :], 2 * step
    chroma = image_rows(chroma_data, height, 2 * width, _UINT8, chroma_step, f'colour of {what}')
    yuv = np.dstack([luma, chroma.reshape(height, width, 2)])  # (H, W, 3)
    return np.asarray(cv2.transform(yuv, _BT601), np.uint8)  # rounds and saturates


# Video range BT.601, as OpenCV has it for the other YUV encodings: rows R, G, B of (Y, U, V, 1).
_LUMA, _V_TO_R, _U_TO_G, _V_TO_G, _U_TO_B = 1.164, 1.596, -0.391, -0.813, 2.018
_BT601 = np.array(
    [
        [_LUMA, 0, _V_TO_R, -16 * _LUMA - 128 * _V_TO_R],
        [_LUMA, _U_TO_G, _V_TO_G, -16 * _LUMA - 128 * (_U_TO_G + _V_TO_G)],
        [_LUMA, _U_TO_B, 0, -16 * _LUMA - 128 * _U_TO_B],
    ]
)

_PLANAR: dict[str, Callable[[memoryview, int, int, int, str], RGB]] = {
    'nv21': _from_nv21,
    'nv24': _from_nv24,
}


def _layout(encoding: str) -> _Layout:
    if encoding in _LAYOUTS:
        return _LAYOUTS[encoding]
    if encoding in ('32FC1', '64FC1'):
        raise ImageError(
            f'{encoding} is depth in metres, not an image to look at; '
            'expected a colour or grey image topic, and depth on the `depth` topic'
        )
    supported = supported_encodings()
    near = difflib.get_close_matches(encoding[:40].lower(), supported, n=1)
    hint = f'did you mean {near[0]}? ' if near else ''
    raise ImageError(
        f'unknown image encoding {encoding[:40]!r}, {hint}Supported are {", ".join(supported)}'
    )

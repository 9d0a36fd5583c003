"""JPEG and PNG, as compressed_image_transport and camera drivers publish them, -> RGB."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cerfevpr_core.errors import ImageError
from cerfevpr_core.pixel_formats.raw import decode_raw
from cerfevpr_core.pixel_formats.rows import MAX_PIXELS, RGB, PixelData, as_bytes, check_size

_COLORS = ('rgb8', 'rgba8', 'rgb16', 'rgba16', 'bgr8', 'bgra8', 'bgr16', 'bgra16')


def decode_compressed(data: PixelData, format: str = '') -> RGB:
    """RGB (H, W, 3) uint8, a new array, of a JPEG or PNG; the bytes say which, not `format`.

    `format` is the message's: 'jpeg', or 'rgb8; jpeg compressed bgr8' with the encoding before
    and in the file, from which a Bayer mosaic and swapped colours are known. 16-bit samples keep
    their high byte, alpha is dropped, and an EXIF orientation is left alone: the camera's
    intrinsics belong to the pixels as they are stored. Raises ImageError for anything else, and
    for a file that is cut short.
    """
    if 'compressedDepth' in format:
        raise ImageError(
            f'the format {format!r} is a depth image, expected a JPEG or PNG picture; '
            'choose the topic that ends in /compressed'
        )
    pixels = _read(as_bytes(data), format)
    source, _, codec = (part.strip() for part in format.partition(';'))
    if pixels.ndim == 2:
        return _from_gray(pixels, source, codec)
    # compressed_image_transport's own subscriber reads a colour file so that is not `compressed
    # bgr` with red and blue swapped: the publisher gave OpenCV an RGB image as if it were BGR.
    swapped = codec != '' and source in _COLORS and 'compressed bgr' not in codec
    return np.ascontiguousarray(pixels[..., ::-1]) if swapped else pixels


def _from_gray(gray: NDArray[np.uint8], source: str, codec: str) -> RGB:
    # A file without a target encoding (`bayer_rggb8; png compressed `) has the mosaic itself.
    mosaic = source.startswith('bayer_') and codec.endswith('compressed')
    encoding = source.replace('16', '8') if mosaic else 'mono8'
    height, width = gray.shape
    return decode_raw(gray, height, width, encoding, step=width)


def _read(data: memoryview, format: str) -> NDArray[np.uint8]:
    """(H, W) of a grey file, (H, W, 3) RGB of any other."""
    try:
        with Image.open(io.BytesIO(data), formats=('JPEG', 'PNG')) as picture:
            check_size(picture.height, picture.width)
            # OpenCV fills what is missing of a truncated JPEG with grey; Pillow raises.
            picture.load()
            return _pixels(picture)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(_not_an_image(data, format)) from None
    except Image.DecompressionBombError as error:
        raise ImageError(f'{error}; expected at most {MAX_PIXELS} pixels') from None
    except Exception as error:  # damaged bytes make Pillow raise a dozen types
        raise ImageError(
            f'the compressed image (format {format!r}, {data.nbytes} bytes) is cut '
            f'short or damaged: {error}; expected a whole JPEG or PNG'
        ) from error


def _pixels(picture: Image.Image) -> NDArray[np.uint8]:
    if picture.mode.startswith('I'):  # 16-bit grey: I;16 or, before Pillow 11, I
        return (np.asarray(picture) >> 8).astype(np.uint8)
    mode = 'L' if picture.mode in ('1', 'L', 'LA') else 'RGB'
    return np.array(picture if picture.mode == mode else picture.convert(mode))


def _not_an_image(data: memoryview, format: str) -> str:
    if not data.nbytes:
        return f'the compressed image (format {format!r}) is empty, expected a JPEG or PNG file'
    return (
        f'the compressed image (format {format!r}, {data.nbytes} bytes that start with '
        f'{data[:4].hex(" ")}) is neither JPEG nor PNG, the two that are supported'
    )

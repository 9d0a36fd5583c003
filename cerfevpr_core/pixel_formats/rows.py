"""Rows of samples in a message's memory, checked before anything reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import ImageError

RGB = NDArray[np.uint8]  # (H, W, 3)
Depth = NDArray[np.float32]  # (H, W), metres, 0 where unknown

if TYPE_CHECKING:
    from typing_extensions import Buffer

    PixelData = Buffer | NDArray[Any]  # bytes, array.array, a NumPy array: contiguous memory
else:
    PixelData = Any


def as_bytes(data: PixelData) -> memoryview:
    """The same memory as a flat row of bytes."""
    view = memoryview(data)  # type: ignore[arg-type]  # NumPy's arrays are buffers on 3.10 too
    return view.cast('B') if view.nbytes else memoryview(b'')  # an empty view cannot be cast


# More is taken for a decompression bomb: some kB may claim any size. As RGB these are 192 MB.
MAX_PIXELS = 64_000_000


def check_size(height: int, width: int) -> None:
    """Refuse an image without pixels, and one with more than MAX_PIXELS."""
    if height < 1 or width < 1:
        raise ImageError(
            f'the image is {width} x {height} pixels (width x height), expected at least 1 x 1; '
            'check what the camera driver publishes'
        )
    if height * width > MAX_PIXELS:
        raise ImageError(
            f'the image says it has {width} x {height} pixels, expected at most {MAX_PIXELS} in '
            'all; is it damaged?'
        )


def sample_type(num_bytes: int, is_bigendian: bool, kind: str = 'u') -> np.dtype[Any]:
    """The NumPy type of unsigned (`u`) or float (`f`) samples in the message's byte order."""
    return np.dtype(f'{">" if is_bigendian else "<"}{kind}{num_bytes}')


def image_rows(
    data: memoryview, num_rows: int, num_samples: int, dtype: np.dtype[Any], step: int, what: str
) -> NDArray[Any]:
    """A view (num_rows, num_samples) of rows that start `step` bytes apart; nothing is copied.

    Padding may follow each row; after the last one it may be missing. `what` names the image in
    the errors: ImageError for a step shorter than a row, or for too few bytes.
    """
    row_bytes = num_samples * dtype.itemsize
    if step < row_bytes:
        raise ImageError(
            f'{what}: step is {step} bytes, but a row takes {row_bytes}; '
            'the publisher must set step to the bytes from one row to the next'
        )
    found, expected = data.nbytes, (num_rows - 1) * step + row_bytes
    if found < expected:
        raise ImageError(
            f'{what}: found {found} bytes, expected {expected} ({num_rows} rows of {step}); '
            'the message is cut short, or its width, height, step or encoding is wrong'
        )
    return np.ndarray((num_rows, num_samples), dtype, data, strides=(step, dtype.itemsize))

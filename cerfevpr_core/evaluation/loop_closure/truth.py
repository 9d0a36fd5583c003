"""Which images of a drive show the same place, from a matrix that is kept as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from cerfevpr_core.errors import ImageError


def read_truth(file: Path, num_images: int) -> NDArray[np.bool_]:
    """(N, N): row and column are images in their order; whether they show one place.

    Any pixel but a black one marks a pair, above or below the diagonal. Raises ImageError.
    """
    try:
        with PilImage.open(file) as picture:
            marked = np.asarray(picture.convert('L')) > 0
    except (OSError, ValueError) as error:
        raise ImageError(f'cannot read the truth {file}: {error}; check the path') from None
    if marked.shape != (num_images, num_images):
        height, width = marked.shape
        raise ImageError(
            f'the truth {file} has {width} x {height} pixels, expected one for each pair of the '
            f'{num_images} images'
        )
    return np.asarray(marked | marked.T)

"""Two folders of images that show nothing in common but their condition: crops to train on."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cerfevpr_core.errors import ImageError
from cerfevpr_core.images import Image, list_images, read_image, to_tensor

log = logging.getLogger(__name__)

_SMALLEST_CROP = 0.6  # of the image's shorter side


class Domain:
    """The images of one condition, as random squares of `crop_px`.

    What is drawn depends on the given random numbers alone, so that training can go on where it
    stopped. Raises ImageError for a folder without images that can be read.
    """

    def __init__(self, folder: Path, crop_px: int) -> None:
        self.files = list_images(folder)
        self.folder = folder
        self.crop_px = crop_px
        self.left_out: set[Path] = set()

    def batch(self, size: int, rng: np.random.Generator) -> Tensor:
        """(B, 3, crop_px, crop_px) in [0, 1]."""
        return torch.stack([self._crop(rng) for _ in range(size)])

    def _crop(self, rng: np.random.Generator) -> Tensor:
        image = self._readable(rng)
        shorter = min(image.shape[:2])
        side = max(1, round(shorter * rng.uniform(_SMALLEST_CROP, 1)))
        top = int(rng.integers(image.shape[0] - side + 1))
        left = int(rng.integers(image.shape[1] - side + 1))
        crop = image[top : top + side, left : left + side]
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        return to_tensor(np.ascontiguousarray(crop), (self.crop_px, self.crop_px))

    def _readable(self, rng: np.random.Generator) -> Image:
        """Some image of the folder; files that cannot be read are left out, and named once."""
        for index in rng.permutation(len(self.files)):
            file = self.files[index]
            if file in self.left_out:
                continue
            try:
                return read_image(file)
            except ImageError as error:
                log.warning('left out: %s', error)
                self.left_out.add(file)
        raise ImageError(
            f'none of the {len(self.files)} images in {self.folder} can be read; expected whole '
            'jpg or png files'
        )

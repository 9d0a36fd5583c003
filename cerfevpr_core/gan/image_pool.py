"""Generated images of earlier steps, which a discriminator sees again."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class ImagePool:
    """Keeps up to `size` images; a discriminator that sees old ones swings less.

    An image that comes is either passed on, or kept while an older one goes out in its place,
    with equal chance. A pool of size 0 passes everything on.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: list[Tensor] = []

    def exchange(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """(B, 3, H, W) -> (B, 3, H, W), partly of earlier calls; no gradient passes."""
        return torch.stack([self._exchange(image, rng) for image in images.detach()])

    def _exchange(self, image: Tensor, rng: np.random.Generator) -> Tensor:
        if len(self.images) < self.size:
            self.images.append(image)
            return image
        if not self.size or rng.random() < 0.5:
            return image
        index = int(rng.integers(self.size))
        older, self.images[index] = self.images[index], image
        return older

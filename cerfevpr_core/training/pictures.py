"""A sample -> its variants as the model wants them, read when a batch needs it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cerfevpr_core.changed_images.augment import augment
from cerfevpr_core.data.places import Place
from cerfevpr_core.errors import ImageError
from cerfevpr_core.images import Image, read_image, to_tensor
from cerfevpr_core.training.batches import Sample

log = logging.getLogger(__name__)

Stack = Callable[[Image], Tensor]  # an image -> its variants (V, 3, H, W), the original last
Item = tuple[Tensor, int, int]  # variants, place, number of the image among all images


def original_alone(size: tuple[int, ...]) -> Stack:
    """For training without variants: V = 1."""
    return partial(_alone, size)


def _alone(size: tuple[int, ...], image: Image) -> Tensor:
    return to_tensor(image, size)[None]


class Pictures(Dataset[Item]):
    """Samples -> variants (V, 3, H, W), augmented, with labels.

    A file that cannot be read is named once and another image of its place taken.
    """

    def __init__(self, places: Sequence[Place], stack: Stack, strength: float) -> None:
        self.places, self.stack, self.strength = places, stack, strength
        self.first = np.cumsum([0, *(len(place.files) for place in places)])
        self.left_out: set[str] = set()

    def __getitem__(self, sample: Sample) -> Item:
        image, number = self._read(sample)
        variants = augment(self._keep(self.stack(image), sample), self.strength, sample.seed)
        return variants, sample.place, int(self.first[sample.place]) + number

    def _read(self, sample: Sample) -> tuple[Image, int]:
        files = self.places[sample.place].files
        for offset in range(len(files)):
            number = (sample.image + offset) % len(files)
            try:
                return read_image(files[number]), number
            except ImageError as error:
                if str(files[number]) not in self.left_out:
                    log.warning('left out: %s', error)
                    self.left_out.add(str(files[number]))
        name = self.places[sample.place].name
        raise ImageError(
            f'none of the {len(files)} images of the place {name} can be read, first {files[0]}; '
            'remove the place or put its images right'
        )

    @staticmethod
    def _keep(variants: Tensor, sample: Sample) -> Tensor:
        """A random subset of the variants, and always the original."""
        num_conditions = len(variants) - 1
        if sample.num_kept >= num_conditions:
            return variants
        rng = np.random.default_rng([sample.seed, num_conditions])
        kept = np.sort(rng.permutation(num_conditions)[: sample.num_kept])
        return variants[[*(int(i) for i in kept), num_conditions]]


def collate(items: list[Item]) -> tuple[Tensor, Tensor, Tensor]:
    """Variants (B, V, 3, H, W), labels (B,), image numbers (B,)."""
    variants, places, images = zip(*items, strict=True)
    return torch.stack(variants), torch.tensor(places), torch.tensor(images)

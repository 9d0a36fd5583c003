"""Image -> its variants under other conditions (section 3.1), the original last."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image as PilImage
from torch import Tensor

from cerfevpr_core.config import VariantsConfig
from cerfevpr_core.errors import ConfigError, ImageError
from cerfevpr_core.gan.condition import generator_file, load_generator
from cerfevpr_core.gan.generator import Generator
from cerfevpr_core.images import Image, check_image, read_image, to_tensor
from cerfevpr_core.weights import cached_file, weights_hash

log = logging.getLogger(__name__)

_CPU = torch.device('cpu')
_CACHED = 'variants'  # below the cache folder; it can be deleted at any time


class VariantMaker:
    """Makes the set of V = r + 1 variants of an image, one a condition, and the image itself.

    A variant is made once: it is cached by the image's pixels, its size and the generator.
    Raises ConfigError for a condition without a generator.
    """

    def __init__(
        self,
        config: VariantsConfig,
        size: tuple[int, ...],
        device: torch.device = _CPU,
    ) -> None:
        if len(set(config.conditions)) < len(config.conditions):
            raise ConfigError(
                f'variants.conditions = {list(config.conditions)}: expected each condition once'
            )
        self.size, self.device = size, device
        self.files = {name: generator_file(name, config.generators) for name in config.conditions}

    @cached_property
    def generators(self) -> dict[str, Generator]:
        """By condition. Loaded when first used: a robot whose queries have no variants needs none.

        Raises WeightsError for a damaged one.
        """
        return {name: load_generator(file).to(self.device) for name, file in self.files.items()}

    @cached_property
    def hashes(self) -> dict[str, str]:
        """What tells generators apart, by condition."""
        return {name: weights_hash(each) for name, each in self.generators.items()}

    def stack(self, image: Image) -> Tensor:
        """RGB (H, W, 3) -> (V, 3, height, width) in [0, 1], the original last; on the CPU."""
        original = to_tensor(check_image(image), self.size)
        made = [self._variant(original, condition) for condition in self.generators]
        return torch.stack([*made, original])

    def _variant(self, original: Tensor, condition: str) -> Tensor:
        file = self._file(original, condition)
        variant = _read(file, self.size)
        if variant is None:
            variant = self._make(original, condition)
            _write(variant, file)
        return variant

    @torch.inference_mode()
    def _make(self, original: Tensor, condition: str) -> Tensor:
        image = self.generators[condition](original[None].to(self.device))[0]
        # In whole grey levels, so that it is the same whether it comes from the cache or not.
        return (image * 255).round().cpu() / 255

    def _file(self, original: Tensor, condition: str) -> Path:
        pixels = _grey_levels(original)
        digest = hashlib.sha256(f'{self.hashes[condition]} {pixels.shape}'.encode())
        digest.update(pixels.tobytes())
        return cached_file('x').parent / _CACHED / f'{digest.hexdigest()[:32]}.png'


def _read(file: Path, size: tuple[int, ...]) -> Tensor | None:
    """A cached variant, or None where there is none that is whole."""
    if not file.exists():
        return None
    try:
        return to_tensor(read_image(file), size)
    except ImageError as error:
        log.warning('made anew: %s', error)
        return None


def _write(variant: Tensor, file: Path) -> None:
    """Whole or not at all, since others may read and write the same file."""
    partial = file.with_suffix(f'.{os.getpid()}.{threading.get_ident()}.part')
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        PilImage.fromarray(_grey_levels(variant)).save(partial, 'PNG', compress_level=1)
        partial.replace(file)
    except OSError as error:
        log.warning('variants are not cached: %s', error)


def _grey_levels(image: Tensor) -> Image:
    """(3, H, W) in [0, 1] -> uint8 (H, W, 3)."""
    return np.ascontiguousarray((image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())

"""One image in, its descriptor out: the model with its preprocessing and its device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cerfevpr_core.config import Config
from cerfevpr_core.errors import ImageError
from cerfevpr_core.images import Image, to_tensor
from cerfevpr_core.landmarks.selector import LandmarkSelector
from cerfevpr_core.model import (
    Fitted,
    backbone_fingerprint,
    device_of,
    fingerprint,
    load_model,
)
from cerfevpr_core.trained import settled
from cerfevpr_core.universal import universal_fit
from cerfevpr_core.variants import VariantMaker

Descriptor = NDArray[np.float32]


@dataclass(frozen=True)
class Description:
    """Of one image: descriptors (P, E), its own last, and the feature map (D, h, w) behind it."""

    descriptors: NDArray[np.float32]
    patches: NDArray[np.float32]

    @property
    def descriptor(self) -> Descriptor:
        """The image's own: (E,), unit length."""
        return self.descriptors[-1]


class Describer:
    """Describes images one at a time; the same image gives the same descriptor anywhere."""

    def __init__(self, config: Config) -> None:
        if config.runtime.num_threads:
            torch.set_num_threads(config.runtime.num_threads)
        self.config = config = settled(config)
        self.device = device_of(config)
        self.model: Any = load_model(config).to(self.device)  # each has its own parts
        # Not of the variants: a descriptor with them and one without are of one kind.
        self.fingerprint = fingerprint(config, self.model)
        self.selector = LandmarkSelector(config.landmarks, backbone_fingerprint(self.model))
        self.variants = VariantMaker(config.variants, config.backbone.image_size, self.device)

    def describe(self, image: Image) -> Descriptor:
        """RGB (H, W, 3) -> (E,), unit length, of a query. Raises ImageError for a bad image."""
        return self.see(image).descriptor

    def see(self, image: Image) -> Description:
        """A query with the features that its descriptor is made of; one descriptor."""
        if self.config.variants.at_query and self.joins_variants:
            return self._see(self.variants.stack(image)[None])  # (1, V, 3, H, W)
        return self._see(self._batch(image)[None])  # (1, V = 1, 3, H, W)

    def see_keyframe(self, image: Image) -> Description:
        """A map image: one descriptor of all variants, or one of each if they are not joined."""
        stack = self.variants.stack(image)  # (V, 3, H, W)
        return self._see(stack[None] if self.joins_variants else stack[:, None])

    @torch.inference_mode()
    def patches(self, image: Image) -> NDArray[np.float32]:
        """The feature map (D, h, w) alone; needs nothing that is fitted on a map."""
        return self.model.backbone(self._batch(image)).patches[0].float().cpu().numpy()

    @property
    def joins_variants(self) -> bool:
        """Whether the model makes one descriptor of all variants of an image."""
        return self.config.method == 'cerfevpr'

    @property
    def needs_fit(self) -> bool:
        """Whether a part of the model is still to be fitted on the map's images."""
        return self.model.needs_fit

    @cached_property
    def descriptor_dim(self) -> int:
        """E; known once everything is fitted."""
        return len(self.describe(np.zeros((64, 64, 3), np.uint8)))

    def fit(self, images: Iterable[Image]) -> None:
        """Fit what the method fits on a map's own images. Raises ImageError if there is none."""
        rest = iter(images)
        first = next(rest, None)
        if first is None:
            raise ImageError('none of the images could be read; there is nothing to fit on')
        self.model.fit(self._batch(image)[0] for image in chain([first], rest))

    @property
    def fit_images(self) -> int:
        """Of how many images at most a fit makes use."""
        return self.model.fit_images

    def fitted(self) -> Fitted:
        """What `fit` found, by name; a map keeps it."""
        return self.model.fitted()

    def load_fitted(self, fitted: Mapping[str, NDArray[np.floating]]) -> None:
        """Take what was fitted when the map was built."""
        self.model.load_fitted(fitted)

    def load_universal(self) -> None:
        """Take what was fitted on other places, for a map that starts without images.

        Raises MapError for a method that needs a map's own, WeightsError for a descriptor for
        which there is no such fit. Nothing happens where nothing is fitted.
        """
        if self.needs_fit:
            fitted = universal_fit(self.config)
            self.model.load_universal(fitted)
            self.__dict__.pop('descriptor_dim', None)

    @torch.inference_mode()
    def _see(self, variants: torch.Tensor) -> Description:
        """(P, V, 3, H, W), one at a time, so that a batch changes nothing."""
        rows = []
        for each in variants:
            tokens = self.model.backbone(each.to(self.device))
            rows.append(self.model.describe(tokens, len(each)))
        descriptors = torch.cat(rows).cpu().numpy()
        return Description(descriptors, tokens.patches[-1].float().cpu().numpy())

    def _batch(self, image: Image) -> torch.Tensor:
        return to_tensor(image, self.config.backbone.image_size).to(self.device)[None]


def evenly(count: int, limit: int) -> list[int]:
    """At most `limit` indices, evenly spread over range(count)."""
    if count <= limit:
        return list(range(count))
    return [int(i) for i in np.linspace(0, count - 1, limit).round()]

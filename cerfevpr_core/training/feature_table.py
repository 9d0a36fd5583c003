"""What a frozen backbone sees of each training image, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cerfevpr_core.backbone import Backbone
from cerfevpr_core.config import Config
from cerfevpr_core.data.places import PlaceSet
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.training.batches import Sample
from cerfevpr_core.training.pictures import Pictures, original_alone
from cerfevpr_core.training.teacher import Track, numbered_images

_DECIDING = (
    'backbone', 'backbone.image_size', 'places', 'train.augment', 'lln.renditions', 'lln.seed',
)  # fmt: skip


@dataclass(frozen=True)
class FeatureTable:
    """Feature maps (N, D, h, w), half precision, of every image's renditions one after another.

    `places` and `sources` (N,) number the place and the source of each row.
    """

    features: NDArray[np.float16]
    places: NDArray[np.int64]
    sources: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    def maps(self, rows: NDArray[np.int64]) -> Tensor:
        """Rows (B,) -> (B, D, h, w), single precision."""
        return torch.from_numpy(np.asarray(self.features[rows], np.float32))


def feature_table(
    backbone: Backbone,
    places: PlaceSet,
    out: Path,
    config: Config,
    made_of: Mapping[str, object],
    track: Track,
) -> FeatureTable:
    """Read OUT/features.npy, or compute it; of `made_of` counts what features depend on.

    The first rendition of an image is as it is, the others are augmented (`train.augment`).
    """
    images = numbered_images(places)
    number = config.lln.renditions
    sources = sorted({place.source for place in places.places})
    owners = np.repeat(np.array([place for place, _ in images], np.int64), number)
    of_place = np.array([sources.index(place.source) for place in places.places], np.int64)
    file, key_file = out / 'features.npy', out / 'features.json'
    deciding = {name: made_of[name] for name in _DECIDING}
    key = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
    if not (key_file.is_file() and key_file.read_text() == key):
        _compute(backbone, places, images, file, config, track)
        key_file.write_text(key)
    return FeatureTable(np.load(file, mmap_mode='r'), owners, of_place[owners])


def _compute(
    backbone: Backbone,
    places: PlaceSet,
    images: list[tuple[int, int]],
    file: Path,
    config: Config,
    track: Track,
) -> None:
    number, size = config.lln.renditions, config.backbone.image_size
    plain = Pictures(places.places, original_alone(size), 0.0)
    changed = Pictures(places.places, original_alone(size), config.train.augment)
    device = backbone.mean.device
    rows = None
    for first, (place, image) in enumerate(track(images, 'seeing the images', len(images))):
        for rendition in range(number):
            seed = config.lln.seed + number * first + rendition
            variants, _, _ = (changed if rendition else plain)[Sample(place, image, 0, seed)]
            with torch.inference_mode():
                patches = backbone(variants[-1:].to(device)).patches
            if rows is None:
                rows = _new_file(file, (number * len(images), *patches.shape[1:]))
            rows[number * first + rendition] = patches[0].half().cpu().numpy()
    assert rows is not None
    rows.flush()


def _new_file(file: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.float16]]:
    try:
        return np.lib.format.open_memmap(file, 'w+', np.float16, shape)
    except OSError as error:
        gigabytes = 2 * np.prod(shape) / 1e9
        raise ConfigError(
            f'cannot write {file} of {gigabytes:.1f} GB: {error.strerror}; free the space, lower '
            'lln.renditions, or choose another --out'
        ) from None

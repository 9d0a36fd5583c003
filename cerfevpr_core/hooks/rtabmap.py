"""What RTAB-Map's descriptor script is made of: the model, and images as RTAB-Map holds them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.config import Config, load_config
from cerfevpr_core.describer import Describer
from cerfevpr_core.errors import ConfigError, ImageError
from cerfevpr_core.images import Image
from cerfevpr_core.map_model import map_settings, matching_describer
from cerfevpr_core.place_map import PlaceMap

SCRIPT = Path(__file__).with_name('cerfevpr_rtabmap.py')


def describer_for(map_folder: str) -> Describer:
    """The model of a map, with what was fitted on it; without a map the one for any place.

    Raises MapError or WeightsError.
    """
    if not map_folder:
        describer = Describer(Config())
        describer.load_universal()
        return describer
    folder = Path(map_folder).expanduser()
    base = map_settings(folder)
    config = load_config(base=base)
    with closing(PlaceMap.open(folder, config.map.index)) as place_map:
        return matching_describer(config, place_map)


def require_dim(describer: Describer, dim: int) -> None:
    """Raises ConfigError if RTAB-Map is told another size than that of the descriptors."""
    if dim != describer.descriptor_dim:
        raise ConfigError(
            f'PyDescriptor/Dim is {dim}, the descriptor has {describer.descriptor_dim} numbers; '
            f'set PyDescriptor/Dim to {describer.descriptor_dim}'
        )


def parameters(describer: Describer) -> dict[str, str]:
    """RTAB-Map's parameters that make it use the script, and nothing but its descriptors."""
    return {
        'Mem/GlobalDescriptorStrategy': '1',
        'Kp/TfIdfLikelihoodUsed': 'false',
        'Mem/RehearsalSimilarity': '1',
        'PyDescriptor/Path': str(SCRIPT),
        'PyDescriptor/Dim': str(describer.descriptor_dim),
    }


def rgb_of(image: NDArray[np.generic]) -> Image:
    """RTAB-Map's image, signed bytes (H, W, C) that it keeps -> a copy, RGB (H, W, 3).

    C is 1 (grey), 3 (BGR) or 4 (BGRA); (H, W) is grey as well. Raises ImageError.
    """
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or pixels.itemsize != 1:
        raise ImageError(
            f'RTAB-Map gave an image of shape {pixels.shape} and type {pixels.dtype}, expected '
            'bytes, (height, width, 1, 3 or 4)'
        )
    unsigned = np.ascontiguousarray(pixels).view(np.uint8)
    if unsigned.shape[2] == 1:
        return np.repeat(unsigned, 3, axis=2)
    return unsigned[..., 2::-1].copy()

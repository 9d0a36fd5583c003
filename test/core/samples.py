"""What several tests are made of: pictures, a tiny network, keyframes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as PilImage

from cerfevpr_core.config import Config, load_config
from cerfevpr_core.place_map import Keyframe, Manifest, PlaceMap

if TYPE_CHECKING:
    from torch import nn

    from cerfevpr_core.describer import Describer

TINY = 'test_resnet'  # timm's own for tests: half a million parameters


def picture(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    """RGB (H, W, 3) of soft blotches with some grain; another seed, another place."""
    rng = np.random.default_rng(seed)
    small = PilImage.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
    blotches = np.asarray(small.resize((width, height), PilImage.Resampling.BICUBIC), np.int16)
    grain = rng.integers(-12, 13, (height, width, 3))
    return np.clip(blotches + grain, 0, 255).astype(np.uint8)


def write_pictures(folder: Path, seeds: range | list[int], form: str = '{:03}.png') -> Path:
    """Pictures in a new folder, named by their seed."""
    folder.mkdir(parents=True)
    for seed in seeds:
        PilImage.fromarray(picture(seed)).save(folder / form.format(seed))
    return folder


def write_places(root: Path, num_places: int = 6, num_images: int = 3) -> Path:
    """Places that are seen under other light and noise in each image."""
    for place in range(num_places):
        folder = root / f'spot{place}'
        folder.mkdir(parents=True)
        for number in range(num_images):
            light = 0.5 + 0.4 * number / num_images
            noise = np.random.default_rng([place, number]).normal(0, 25, (96, 128, 3))
            image = np.clip(picture(place) * light + noise, 0, 255).astype(np.uint8)
            PilImage.fromarray(image).save(folder / f'{number}.png')
    return root


def write_traverse(root: Path, places: Path) -> Path:
    """The first image of each place as database, the second as query."""
    rows = ['name,x_m,y_m']
    for number, folder in enumerate(sorted(places.iterdir())):
        for part, file in (('database', '0.png'), ('queries', '1.png')):
            (root / part).mkdir(parents=True, exist_ok=True)
            name = f'{folder.name}-{file}'
            (root / part / name).symlink_to(folder / file)
            rows.append(f'{name},{1000 * number},0')
    (root / 'positions.csv').write_text('\n'.join(rows))
    return root


def write_tiny_weights(file: Path, seed: int = 0, name: str = TINY) -> Path:
    """Weights of the tiny network, or another: random, but always the same."""
    import safetensors.torch  # here: a process that is killed again and again needs none of it
    import timm
    import torch

    torch.manual_seed(seed)
    safetensors.torch.save_file(timm.create_model(name).state_dict(), file)
    return file


def write_generator(file: Path, offset: float) -> None:
    """A generator that adds the same to all log-odds."""
    import torch  # here: the same

    from cerfevpr_core.checkpoint import save_network
    from cerfevpr_core.gan.generator import Generator

    generator = Generator(4, 1)
    torch.nn.init.constant_(generator.change.bias[3:], offset)
    made_of = {'gan.num_filters': 4, 'gan.num_blocks': 1}
    save_network(file, generator.state_dict(), made_of)


def tiny_settings(weights: Path, method: str = 'grid') -> dict[str, object]:
    """Settings that describe an image in milliseconds."""
    return {
        'method': method,
        'backbone.name': TINY,
        'backbone.weights': str(weights),
        'backbone.image_size': [64, 96],
        'grid.num_cells': 2,
        'vlad.num_clusters': 4,
        'map.thumbnail_px': 32,
    }


def tiny_config(weights: Path, method: str = 'grid', **more: object) -> Config:
    """The tree of `tiny_settings`; `map__top_k=3` for more."""
    return load_config(overrides=tiny_settings(weights, method) | dotted(more))


def dotted(more: dict[str, object]) -> dict[str, object]:
    """`map__top_k`, as a keyword can be written, is the setting `map.top_k`."""
    return {name.replace('__', '.'): value for name, value in more.items()}


def assignments(named: dict[str, object]) -> list[str]:
    """The same as arguments of the command line."""
    return [part for name, value in named.items() for part in ('--set', f'{name}={value}')]


def unit_vectors(count: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    """Random directions (count, dim)."""
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def keyframes(vectors: np.ndarray, **more: object) -> list[Keyframe]:
    """A keyframe for each row, named by its number."""
    return [Keyframe(f'{i}.jpg', row[None], **more) for i, row in enumerate(vectors)]


def random_map(folder: Path, count: int, dim: int = 16, kind: str = 'flat') -> np.ndarray:
    """A map of random descriptors, closed; returns them (count, dim)."""
    vectors = unit_vectors(count, dim)
    with PlaceMap.create(folder, Manifest('model', {}, dim), kind) as place_map:
        place_map.add(keyframes(vectors))
    return vectors


def error_of(expected: type[Exception], call: Callable[..., object], *given: object) -> str:
    """What the expected error of a call says."""
    import pytest  # here: the same

    with pytest.raises(expected) as caught:
        call(*given)
    return str(caught.value)


def fitted_settings(weights: Path) -> dict[str, object]:
    """A descriptor on the tiny network whose words and projection are fitted on a map."""
    return tiny_settings(weights, 'cerfevpr') | {
        'adapters.placement': 'none',
        'fusion.levels': [2],
        'fusion.num_words': 4,
        'fusion.unit_tokens': True,
        'encoder.num_layers': 1,
        'encoder.num_heads': 2,
        'encoder.ffn_dim': 16,
        'encoder.token_dim': 8,
        'encoder.descriptor_dim': 16,
    }


def write_network(file: Path, dim: int, backbone: str) -> nn.Module:
    """An untrained landmark network for a backbone of this hash, in a file and as it is."""
    import torch  # here: the same

    from cerfevpr_core.checkpoint import save_network
    from cerfevpr_core.landmarks.network import LandmarkNetwork

    torch.manual_seed(0)
    network = LandmarkNetwork(dim, (3, 5), 4).eval()
    made_of = {'dim': dim, 'backbone': backbone, 'lln.kernel_sizes': [3, 5], 'lln.num_filters': 4}
    save_network(file, network.state_dict(), made_of)
    return network


def filled(folder: Path, describer: Describer, seeds: range) -> None:
    """Add pictures to a map."""
    from cerfevpr_core.view import View, keyframe  # here: the same

    with PlaceMap.open(folder) as place_map:
        for seed in seeds:
            image = picture(seed)
            place_map.add([keyframe(View(image, describer.describe(image)), f'{seed}', 32)])

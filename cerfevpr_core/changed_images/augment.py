"""Seeded changes of light, season, view and resolution; an image's variants all change alike."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cerfevpr_core.changed_images.weather import cast_shadows, change_to_night, change_to_snow


def augment(variants: Tensor, strength: float, seed: int) -> Tensor:
    """Variants (V, 3, H, W) in [0, 1] -> the same, seen differently; strength 0 changes nothing.

    Mild homography with crop; night, snow or shadow; exposure, contrast and colour; few pixels,
    noise and a passer-by. A third of the samples changes only a little, as a map image does.
    Never mirrored: a mirrored place is another place.
    """
    if strength == 0:
        return variants
    rng = np.random.default_rng(seed)
    is_mild = rng.random() < 1 / 3
    strength = 0.3 * strength if is_mild else strength
    seen = _move(variants, strength, rng)
    if not is_mild and rng.random() < 0.8 * strength:
        kind = rng.random()
        change = change_to_night if kind < 0.5 else change_to_snow if kind < 0.8 else cast_shadows
        seen = change(seen.clamp(0, 1), rng)
    seen = _relight(seen, strength, rng)
    seen = _shrink(seen, strength, rng)
    noise = rng.normal(size=seen.shape[1:]).astype(np.float32)
    seen = seen + float(rng.uniform(0, 0.04)) * strength * torch.from_numpy(noise)
    return _erase(seen, strength, rng).clamp(0, 1)


def _move(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """A view from a little aside: corners shifted, the middle enlarged."""
    height, width = images.shape[2:]
    zoom = 1 - 0.4 * strength * rng.random()
    shift = rng.uniform(-1, 1, 2) * (1 - zoom)
    angle = math.radians(8) * strength * rng.uniform(-1, 1)
    tilt = 0.2 * strength * rng.uniform(-1, 1, 2)
    cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
    matrix = torch.tensor(
        [[cos, -sin, shift[0]], [sin, cos, shift[1]], [tilt[0], tilt[1], 1.0]],
        dtype=torch.float32,
    )
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing='ij'
    )
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1) @ matrix.T  # (H, W, 3)
    grid = (points[..., :2] / points[..., 2:])[None].expand(len(images), -1, -1, -1)
    return F.grid_sample(images, grid, padding_mode='reflection', align_corners=True)


def _relight(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    def around_one(spread: float) -> float:
        return float(np.exp(spread * strength * rng.uniform(-1, 1)))

    images = images.clamp(0, 1) ** around_one(0.9)
    cast = torch.tensor([around_one(0.3) for _ in range(3)]).view(1, 3, 1, 1)
    images = images * cast * around_one(0.7)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = mean + (images - mean) * around_one(0.6)
    grey = images.mean(dim=1, keepdim=True)
    saturation = 0.0 if rng.random() < 0.2 * strength else around_one(0.7)
    return grey + (images - grey) * saturation


def _shrink(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """A small picture enlarged again, down to 40 pixels across, half as many high."""
    height, width = images.shape[2:]
    share = float(rng.uniform(0.18, 0.6))
    flatness = float(rng.choice([0.5, 0.75, 1.0]))
    is_smooth = rng.random() < 0.5
    if rng.random() > 0.4 * strength:
        return images
    small = (max(8, int(height * share * flatness)), max(8, int(width * share)))
    small_images = F.interpolate(images, small, mode='bilinear', antialias=True)
    mode = 'bicubic' if is_smooth else 'bilinear'
    return F.interpolate(small_images, (height, width), mode=mode).clamp(0, 1)


def _erase(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """A passer-by: a grey rectangle that hides up to a tenth of the image."""
    height, width = images.shape[2:]
    h, w = (int(n * 0.3 * rng.uniform(0.3, 1)) for n in (height, width))
    top, left = int(rng.integers(height - h)), int(rng.integers(width - w))
    if rng.random() < 0.3 * strength:
        images = images.clone()
        images[:, :, top : top + h, left : left + w] = float(rng.random())
    return images

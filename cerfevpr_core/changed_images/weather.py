"""Night, snow and shadow by simple means: what augmentation needs, not what an eye would believe.

Each function changes images (V, 3, H, W) in [0, 1] of one place alike.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

Rng = np.random.Generator


def change_to_night(images: Tensor, rng: Rng) -> Tensor:
    """Dark, with a darker sky, lamps, noise, and often without colour or newly exposed."""
    height, width = images.shape[2:]
    dark = images.clamp(min=1e-4) ** _between(rng, 1.2, 2.6) * _between(rng, 0.2, 0.9)
    if rng.random() < 0.6:
        horizon, softness = _between(rng, -0.2, 0.4), _between(rng, 0.1, 0.5)
        sky = 1 - ((_rows(height) - horizon) / softness).clamp(0, 1)
        dark = dark * (1 - _between(rng, 0.3, 1.0) * sky)
    if rng.random() < 0.7:
        lit = _blotches(rng, height, width, 7) ** _between(rng, 2, 8)
        tint = torch.from_numpy(rng.uniform(0.6, 1.0, (1, 3, 1, 1)).astype(np.float32))
        dark = dark * (1 + _between(rng, 0, 5) * lit * tint)
    if rng.random() < 0.5:
        lamps = _blotches(rng, height, width, 9) ** _between(rng, 6, 14)
        dark = dark + _between(rng, 0, 0.5) * lamps
    if rng.random() < 0.5:
        dark = dark.mean(dim=1, keepdim=True).expand_as(dark)
    if rng.random() < 0.5:
        peak = np.quantile(dark.numpy(), 0.97)
        dark = dark * _between(rng, 0.6, 1.0) / max(float(peak), 0.02)
    noise = torch.from_numpy(rng.normal(size=dark.shape[1:]).astype(np.float32))
    return (dark + _between(rng, 0, 0.06) * noise).clamp(0, 1)


def change_to_snow(images: Tensor, rng: Rng) -> Tensor:
    """What is green, or lies low, turns white; sometimes bright and dark change places there."""
    height, width = images.shape[2:]
    light = images.mean(dim=1, keepdim=True)
    if rng.random() < 0.5:
        covered = ((images[:, 1:2] - images[:, 2:3]) * 4).clamp(0, 1)
    else:
        ground = ((_rows(height) - _between(rng, 0.2, 0.7)) * 6).clamp(0, 1)
        covered = ground * _blotches(rng, height, width, 6) ** 0.5
    white = (0.55 + 0.5 * light + _between(rng, -0.2, 0.2)).clamp(0, 1)
    if rng.random() < 0.2:
        white = 1 - light
    share = _between(rng, 0.3, 1.0) * covered
    seen = images * (1 - share) + white * share
    grey = seen.mean(dim=1, keepdim=True)
    return (grey + (seen - grey) * _between(rng, 0.1, 1.2)).clamp(0, 1)


def cast_shadows(images: Tensor, rng: Rng) -> Tensor:
    """Dark blotches with hard edges."""
    height, width = images.shape[2:]
    shadow = (_blotches(rng, height, width, 5) > 0.5).float()
    return images * (1 - _between(rng, 0.2, 0.8) * shadow)


def _blotches(rng: Rng, height: int, width: int, count: int) -> Tensor:
    """Smooth random numbers from 0 to 1, so many blotches along each side: (1, 1, H, W)."""
    coarse = torch.from_numpy(rng.random((1, 1, count, count), dtype=np.float32))
    return F.interpolate(coarse, (height, width), mode='bicubic').clamp(0, 1)


def _rows(height: int) -> Tensor:
    """0 at the top, 1 at the bottom."""
    return torch.linspace(0, 1, height).view(1, 1, height, 1)


def _between(rng: Rng, low: float, high: float) -> float:
    return float(rng.uniform(low, high))

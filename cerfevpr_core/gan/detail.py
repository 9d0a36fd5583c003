"""What a translation must keep so that keypoints still match: edges, and what is brighter."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_WINDOW_PX = 9  # of an edge
_FAINT = 0.04  # a deviation of ten grey levels of 255; less in the original is no detail

# At half the size of the image, where a binary descriptor's patch of 31 pixels is:
_PATCH_PX = 17
_REACH_PX = 6  # deviation of how far apart two points are, each way
_STEP = 0.006  # one and a half grey levels; a smaller deviation does not outlive rounding
_MARGIN = 0.3  # of a patch's deviation
_PAIRS = np.random.default_rng(0).normal(0, _REACH_PX, (24, 2)).round().astype(int).tolist()


def detail_loss(before: Tensor, after: Tensor) -> Tensor:
    """How much of the local structure changed, 0 to 2: one less its correlation in 9 x 9 pixels.

    Brightness, contrast and colour may change freely, edges may not: keypoints live on them. What
    a translation presses to next to nothing counts as lost.
    """
    x, y = _grey(before), _grey(after)  # (B, 1, H, W)
    x, y = x - _local_mean(x, _WINDOW_PX), y - _local_mean(y, _WINDOW_PX)
    variances = _local_mean(x * x, _WINDOW_PX) * _local_mean(y * y, _WINDOW_PX)
    correlation = _local_mean(x * y, _WINDOW_PX) / (variances + _FAINT**4).sqrt()
    return (_visible(x) * (1 - correlation)).mean()


def order_loss(before: Tensor, after: Tensor) -> Tensor:
    """How far brightness around detail is turned round: 0 where it is not, above 1 for a negative.

    A binary descriptor (ORB) asks which of two points of a blurred patch is brighter, in a patch
    turned towards its brighter side. Both shall stay; how bright points are, and how different,
    may change.
    """
    x, y = _grey(before), _grey(after)  # (B, 1, H, W)
    visible = F.avg_pool2d(_visible(x - _local_mean(x, _WINDOW_PX)), 2)  # (B, 1, h, w), half
    visible = _local_mean(visible, _PATCH_PX)
    x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)  # (B, 1, h, w)
    turned = 1 - F.cosine_similarity(_brighter_side(x), _brighter_side(y), dim=1, eps=1e-4)
    x, y = _levelled(x), _levelled(y)
    swapped = []
    for dy, dx in _PAIRS:
        a, b = _difference(x, dy, dx), _difference(y, dy, dx)
        weight = a.abs().clamp(max=1) * _first(visible, dy, dx)
        swapped.append((weight * F.relu(1 - a.sign() * b / _MARGIN)).mean())
    return (visible * turned[:, None]).mean() + torch.stack(swapped).mean()


def _grey(images: Tensor) -> Tensor:
    return images.mean(dim=1, keepdim=True)


def _visible(x: Tensor) -> Tensor:
    """Where there is detail, 0 to 1, in an image less its local mean; a clear sky has none."""
    variance = _local_mean(x * x, _WINDOW_PX)
    return variance / (variance + _FAINT**2)


def _brighter_side(image: Tensor) -> Tensor:
    """(B, 1, h, w) -> (B, 2, h, w): from each pixel towards the bright side of its round patch."""
    reach = torch.arange(_PATCH_PX, device=image.device) - _PATCH_PX // 2
    inside = reach[:, None] ** 2 + reach**2 <= (_PATCH_PX // 2) ** 2
    kernel = torch.stack([inside * reach[:, None], inside * reach])[:, None] / inside.sum()
    padded = F.pad(image, 4 * [_PATCH_PX // 2], mode='replicate')
    return F.conv2d(padded, kernel.to(image))


def _levelled(image: Tensor) -> Tensor:
    """Blurred as a binary descriptor does, and with much the same contrast everywhere."""
    blurred = _local_mean(image, 3)
    centred = blurred - _local_mean(blurred, _PATCH_PX)
    return centred / (_local_mean(centred * centred, _PATCH_PX) + _STEP**2).sqrt()


def _difference(image: Tensor, dy: int, dx: int) -> Tensor:
    """Of each point and the one that is (dy, dx) from it."""
    return _first(image, dy, dx) - _first(image, -dy, -dx)


def _first(image: Tensor, dy: int, dx: int) -> Tensor:
    """The points for which the one that is (dy, dx) from them is in the image too."""
    height, width = image.shape[2:]
    return image[:, :, max(0, -dy) : height - max(0, dy), max(0, -dx) : width - max(0, dx)]


def _local_mean(image: Tensor, window_px: int) -> Tensor:
    return F.avg_pool2d(
        image, window_px, stride=1, padding=window_px // 2, count_include_pad=False
    )

"""What CycleGAN minimises, eqs 1-3. G: M -> N and F: N -> M are the two generators.

Two terms of the paper are misprints and are read as CycleGAN has them: in the second line of
eq. 2 it must be F(n) that D_M judges, and the second term of eq. 3 must be G(F(n)).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

_FAINT = 0.04  # a deviation of ten grey levels of 255; less in the original is no detail

Adversarial = Literal['least_squares', 'cross_entropy']


def discriminator_loss(
    kind: Adversarial, real: Sequence[Tensor], generated: Sequence[Tensor]
) -> Tensor:
    """What a discriminator minimises, from its logits of real and of generated images.

    With `cross_entropy` this is eq. 2 with its sign turned: -log D(n) - log(1 - D(G(m))).
    """
    return _judged(kind, real, 1.0) + rejection_loss(kind, generated)


def rejection_loss(kind: Adversarial, logits: Sequence[Tensor]) -> Tensor:
    """What a discriminator minimises on images that it should not take for real."""
    return _judged(kind, logits, 0.0)


def adversarial_loss(kind: Adversarial, generated: Sequence[Tensor]) -> Tensor:
    """What a generator minimises: that its images pass for real.

    -log D(G(m)) in place of eq. 2's log(1 - D(G(m))): the same aim, but with a gradient while
    the discriminator is still sure of itself.
    """
    return _judged(kind, generated, 1.0)


def cycle_loss(m: Tensor, cycled_m: Tensor, n: Tensor, cycled_n: Tensor) -> Tensor:
    """Eq. 3: E|F(G(m)) - m| + E|G(F(n)) - n|, means over pixels."""
    return F.l1_loss(cycled_m, m) + F.l1_loss(cycled_n, n)


def identity_loss(m: Tensor, f_of_m: Tensor, n: Tensor, g_of_n: Tensor) -> Tensor:
    """E|F(m) - m| + E|G(n) - n|: what is in the wanted condition already stays as it is."""
    return F.l1_loss(f_of_m, m) + F.l1_loss(g_of_n, n)


def detail_loss(before: Tensor, after: Tensor) -> Tensor:
    """How much of the local structure changed, 0 to 2: one less its correlation in 9 x 9 pixels.

    Brightness, contrast and colour may change freely, edges may not: keypoints live on them. What
    a translation presses to next to nothing counts as lost.
    """
    x, y = before.mean(dim=1, keepdim=True), after.mean(dim=1, keepdim=True)  # (B, 1, H, W)
    x, y = x - _local_mean(x), y - _local_mean(y)
    variances = _local_mean(x * x) * _local_mean(y * y)
    correlation = _local_mean(x * y) / (variances + _FAINT**4).sqrt()
    visible = _local_mean(x * x) / (_local_mean(x * x) + _FAINT**2)  # a clear sky has no detail
    return (visible * (1 - correlation)).mean()


def _local_mean(image: Tensor) -> Tensor:
    return F.avg_pool2d(image, 9, stride=1, padding=4, count_include_pad=False)


def _judged(kind: Adversarial, logits: Sequence[Tensor], wanted: float) -> Tensor:
    """The mean over patches, then over the maps that a discriminator gives."""
    losses = []
    for each in logits:
        target = torch.full_like(each, wanted)
        if kind == 'least_squares':
            losses.append(F.mse_loss(each, target))
        else:
            losses.append(F.binary_cross_entropy_with_logits(each, target))
    return torch.stack(losses).mean()

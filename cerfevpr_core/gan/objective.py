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

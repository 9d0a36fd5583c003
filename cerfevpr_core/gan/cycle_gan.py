"""Two generators, two discriminators and what they lose, eq. 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from cerfevpr_core.config import GanConfig
from cerfevpr_core.gan.detail import detail_loss, order_loss
from cerfevpr_core.gan.discriminator import Discriminator, frozen_features
from cerfevpr_core.gan.generator import Generator
from cerfevpr_core.gan.image_pool import ImagePool
from cerfevpr_core.gan.objective import (
    adversarial_loss,
    cycle_loss,
    discriminator_loss,
    identity_loss,
    rejection_loss,
)


class CycleGan(nn.Module):
    """G: M -> N and F: N -> M (here `to_n`, `to_m`) with D_M and D_N; batches (B, 3, H, W)."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        self.config = config
        features = frozen_features(config)
        self.to_n = Generator(config.num_filters, config.num_blocks)
        self.to_m = Generator(config.num_filters, config.num_blocks)
        self.judge_n = Discriminator(config, features)
        self.judge_m = Discriminator(config, features)
        self.frozen = [features]  # in a list: no part of what is saved
        self.pool_m, self.pool_n = ImagePool(config.pool_size), ImagePool(config.pool_size)

    def calibrate(self, images: Tensor) -> None:
        """Fit what the discriminators standardise features by; real images of both conditions."""
        for judge in (self.judge_m, self.judge_n):
            judge.calibrate(images)

    def generators_losses(self, m: Tensor, n: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """The weighted parts of what G and F minimise, and their images F(n) and G(m)."""
        config = self.config
        self.judge_m.requires_grad_(False)
        self.judge_n.requires_grad_(False)
        as_n, as_m = self.to_n(m), self.to_m(n)
        fooling = adversarial_loss(config.adversarial, self.judge_n(as_n)) + adversarial_loss(
            config.adversarial, self.judge_m(as_m)
        )
        losses = {
            'adversarial': config.adversarial_weight * fooling,
            'cycle': config.cycle_weight * cycle_loss(m, self.to_m(as_n), n, self.to_n(as_m)),
        }
        if config.identity_weight:
            same = identity_loss(m, self.to_m(m), n, self.to_n(n))
            losses['identity'] = config.identity_weight * same
        if config.detail_weight:
            changed = detail_loss(m, as_n) + detail_loss(n, as_m)
            losses['detail'] = config.detail_weight * changed
        if config.order_weight:
            turned = order_loss(m, as_n) + order_loss(n, as_m)
            losses['order'] = config.order_weight * turned
        return losses, as_m.detach(), as_n.detach()

    def discriminators_loss(
        self, m: Tensor, n: Tensor, as_m: Tensor, as_n: Tensor, rng: np.random.Generator
    ) -> Tensor:
        """What D_M and D_N minimise on real images and on generated ones, some of them older."""
        self.judge_m.requires_grad_(True)
        self.judge_n.requires_grad_(True)
        older_m, older_n = self.pool_m.exchange(as_m, rng), self.pool_n.exchange(as_n, rng)
        return self._judge(self.judge_m, m, older_m, n) + self._judge(self.judge_n, n, older_n, m)

    def _judge(
        self, judge: Discriminator, real: Tensor, generated: Tensor, other: Tensor
    ) -> Tensor:
        """Eq. 2, and, with `contrast`, real images of the other condition as not wanted.

        These keep a discriminator to what tells the conditions apart, where one that sees
        generated images alone may learn to look for their faults.
        """
        config = self.config
        loss = discriminator_loss(config.adversarial, judge(real), judge(generated))
        if config.contrast:
            loss = loss + config.contrast * rejection_loss(config.adversarial, judge(other))
        return loss

    def generator_parameters(self) -> list[nn.Parameter]:
        """Those of G and F."""
        return [*self.to_n.parameters(), *self.to_m.parameters()]

    def discriminator_parameters(self) -> list[nn.Parameter]:
        """Those of D_M and D_N, without the frozen features."""
        return [*self.judge_m.parameters(), *self.judge_n.parameters()]

    def pools(self) -> dict[str, list[Tensor]]:
        """The images in both pools, for a checkpoint."""
        return {'m': self.pool_m.images, 'n': self.pool_n.images}

    def load_pools(self, images: Mapping[str, Any]) -> None:
        """Take what `pools` gave."""
        device = self.to_n.change.weight.device
        self.pool_m.images = [image.to(device) for image in images['m']]
        self.pool_n.images = [image.to(device) for image in images['n']]

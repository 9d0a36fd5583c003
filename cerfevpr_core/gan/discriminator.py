"""Real or generated? One answer for each patch: the discriminators D_M and D_N of section 3.1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cerfevpr_core.backbone.load import create_network
from cerfevpr_core.config import BackboneConfig, GanConfig
from cerfevpr_core.weights import load_pretrained

FEATURES = 'tf_efficientnet_lite0.in1k'
_STRIDES = (4, 8, 16, 32)


class PatchDiscriminator(nn.Module):
    """PatchGAN on pixels: (B, 3, H, W) -> [(B, 1, h, w)] logits, each of about 70 x 70 pixels."""

    def __init__(self, num_filters: int) -> None:
        super().__init__()
        n = num_filters
        self.layers = nn.Sequential(
            nn.Conv2d(3, n, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            *_strided(n, 2 * n, stride=2),
            *_strided(2 * n, 4 * n, stride=2),
            *_strided(4 * n, 8 * n, stride=1),
            nn.Conv2d(8 * n, 1, 4, padding=1),
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.layers(2 * images - 1)]


class FrozenFeatures(nn.Module):
    """Feature maps of a pretrained CNN at several strides: (B, 3, H, W) -> [(B, C, h, w)].

    Both discriminators look through the same one; it never learns.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str = FEATURES) -> None:
        super().__init__()
        network = create_network(BackboneConfig(name=name))
        load_pretrained(network, name)
        info = network.feature_info
        self.layers = [i for i, each in enumerate(info) if each['reduction'] in _STRIDES]
        self.num_channels = [int(info[i]['num_chs']) for i in self.layers]
        network.prune_intermediate_layers(self.layers, prune_norm=False, prune_head=True)
        self.network = network.eval().requires_grad_(False)
        cfg = network.pretrained_cfg
        self.register_buffer('mean', Tensor(cfg['mean']).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', Tensor(cfg['std']).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        normalised = (images - self.mean) / self.std
        return self.network.forward_intermediates(
            normalised, indices=self.layers, intermediates_only=True
        )

    def train(self, mode: bool = True) -> FrozenFeatures:
        """Normalisation stays as in use."""
        return super().train(False)


class FeatureDiscriminator(nn.Module):
    """A small patch head on each frozen feature map: [(B, C, h, w)] -> [(B, 1, h, w)] logits.

    It knows what images show before it has seen one, and so teaches within fewer steps.
    """

    def __init__(self, num_channels: Sequence[int], num_filters: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(FeatureHead(each, 2 * num_filters) for each in num_channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        return [head(each) for head, each in zip(self.heads, features, strict=True)]

    def calibrate(self, features: Sequence[Tensor]) -> None:
        """Standardise by these features from now on."""
        for head, each in zip(self.heads, features, strict=True):
            assert isinstance(head, FeatureHead)
            head.calibrate(each)


class FeatureHead(nn.Module):
    """Standardised features (B, C, h, w) -> (B, 1, h, w) logits."""

    centre: Tensor
    spread: Tensor

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer('centre', torch.zeros(1, channels, 1, 1))
        self.register_buffer('spread', torch.ones(1, channels, 1, 1))
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(hidden, hidden, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(hidden, 1, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.layers((features - self.centre) / self.spread)

    def calibrate(self, features: Tensor) -> None:
        """Take mean and deviation of each channel from features of real images."""
        self.centre.copy_(features.mean(dim=(0, 2, 3), keepdim=True))
        self.spread.copy_(features.std(dim=(0, 2, 3), keepdim=True) + 1e-5)


class Discriminator(nn.Module):
    """The kinds that `gan.discriminator` names, side by side: (B, 3, H, W) -> a list of logits."""

    def __init__(self, config: GanConfig, features: FrozenFeatures | None) -> None:
        super().__init__()
        self.noise = config.discriminator_noise
        self._features = [features]  # in a list: shared, and no part of this network's state
        self.on_pixels = self.on_features = None
        if config.discriminator != 'features':
            self.on_pixels = PatchDiscriminator(config.discriminator_filters)
        if features is not None:
            self.on_features = FeatureDiscriminator(
                features.num_channels, config.discriminator_filters
            )

    def forward(self, images: Tensor) -> list[Tensor]:
        if self.noise:  # what would please a network unseen drowns in it
            images = images + self.noise * torch.randn_like(images)
        logits = self.on_pixels(images) if self.on_pixels is not None else []
        features = self._features[0]
        if self.on_features is None or features is None:
            return logits
        return logits + self.on_features(features(images))

    @torch.no_grad()
    def calibrate(self, images: Tensor) -> None:
        """Standardise features by those of real images (B, 3, H, W)."""
        if self.on_features is not None and (features := self._features[0]) is not None:
            self.on_features.calibrate(features(images))


def frozen_features(config: GanConfig) -> FrozenFeatures | None:
    """What the configured discriminators share, if they look at features. Raises WeightsError."""
    return None if config.discriminator == 'patch' else FrozenFeatures()


def _strided(channels: int, out: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, out, 4, stride, padding=1, bias=False),
        nn.InstanceNorm2d(out, affine=True),
        nn.LeakyReLU(0.2, inplace=True),
    ]

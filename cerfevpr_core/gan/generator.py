"""Image -> the same place under another condition: the generators G and F of section 3.1."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_DARKEST = 1 / 512  # half a grey level: log-odds stay finite, and rounded pixels stay the same
_STRIDE = 4


class Generator(nn.Module):
    """A ResNet generator of any image size: (B, 3, H, W) in [0, 1] -> (B, 3, H, W) in [0, 1].

    It predicts, for each pixel and channel, a gain and an offset of the pixel's log-odds. Both
    are zero at first, so that training starts from the identity and detail is kept unless
    something is gained by changing it; log-odds never leave [0, 1], so gradients do not die.
    """

    def __init__(self, num_filters: int, num_blocks: int) -> None:
        super().__init__()
        n = num_filters
        self.stem = _layer(3, n, kernel_size=5)  # (B, n, H, W)
        self.down = nn.Sequential(_layer(n, 2 * n, stride=2), _layer(2 * n, 4 * n, stride=2))
        self.blocks = nn.Sequential(*(ResidualBlock(4 * n) for _ in range(num_blocks)))
        self.up = nn.Sequential(_up(4 * n, 2 * n), _up(2 * n, n))
        self.change = nn.Conv2d(n, 6, 3, padding=1, padding_mode='reflect')
        nn.init.zeros_(self.change.weight)
        assert self.change.bias is not None
        nn.init.zeros_(self.change.bias)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        padding = (0, -width % _STRIDE, 0, -height % _STRIDE)
        padded = F.pad(images, padding, mode='replicate')
        detail = self.stem(2 * padded - 1)  # (B, n, H, W)
        deep = self.blocks(self.down(detail))  # (B, 4n, H/4, W/4)
        gain, offset = self.change(self.up(deep) + detail).chunk(2, dim=1)  # (B, 3, H, W) each
        odds = torch.logit(padded, eps=_DARKEST)
        return torch.sigmoid(odds + gain * odds + offset)[:, :, :height, :width]


class ResidualBlock(nn.Module):
    """Two convolutions beside a skip: (B, C, h, w) -> (B, C, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _layer(channels, channels),
            nn.Conv2d(channels, channels, 3, padding=1, padding_mode='reflect', bias=False),
            nn.InstanceNorm2d(channels, affine=True),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.layers(features)


def _layer(channels: int, out: int, kernel_size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(
            channels,
            out,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            padding_mode='reflect',
            bias=False,
        ),
        nn.InstanceNorm2d(out, affine=True),
        nn.ReLU(inplace=True),
    )


def _up(channels: int, out: int) -> nn.Sequential:
    # A transposed convolution would leave a checkerboard.
    return nn.Sequential(nn.Upsample(scale_factor=2), _layer(channels, out))

"""Tokens of one image -> pyramid tokens (section 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cerfevpr_core.backbone import Tokens
from cerfevpr_core.config import FusionConfig


class PyramidFusion(nn.Module):
    """CLS and average-pooled pyramid cells, eq. 7: cls (B, D), patches (B, D, h, w) -> (B, T, D).

    T = 1 + the sum of the squared levels. The 1x1 convolution starts as the identity, so that
    training starts from what the backbone knows.
    """

    def __init__(self, config: FusionConfig, dim: int) -> None:
        super().__init__()
        self.levels = config.levels
        self.num_tokens = 1 + sum(n * n for n in config.levels)
        self.mix = nn.Conv2d(dim, dim, kernel_size=1)
        nn.init.dirac_(self.mix.weight)
        nn.init.constant_(self.mix.get_parameter('bias'), 0)

    def forward(self, tokens: Tokens) -> Tensor:
        patches = self.mix(tokens.patches)
        cells = [F.adaptive_avg_pool2d(patches, n).flatten(2) for n in self.levels]  # (B, D, n*n)
        return torch.cat([tokens.cls.unsqueeze(2), *cells], dim=2).transpose(1, 2)  # (B, T, D)

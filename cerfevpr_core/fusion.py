"""Tokens of one image -> pyramid tokens (section 3.3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cerfevpr_core.backbone import Tokens
from cerfevpr_core.config import FusionConfig


class PyramidFusion(nn.Module):
    """CLS and average-pooled pyramid cells, eq. 7: cls (B, D), patches (B, D, h, w) -> (B, T, D).

    T = 1 + the sum of the squared levels; without levels CLS is alone. The 1x1 convolution starts
    as the identity, so that training starts from what the backbone knows. With `num_words`, that
    many more tokens follow: the residuals of the patches to visual words, wherever in the image
    they lie. Cells say where things are and words only what is there, which is what is left when
    the camera moves aside.
    """

    def __init__(self, config: FusionConfig, dim: int) -> None:
        super().__init__()
        self.levels = config.levels
        self.num_cells = 1 + sum(n * n for n in config.levels)  # CLS is the coarsest
        self.num_tokens = self.num_cells + config.num_words
        self.unit_tokens = config.unit_tokens
        self.mix = _identity(dim) if config.levels or config.num_words else nn.Identity()
        self.words: Tensor | None = None
        if config.num_words:
            self.words = nn.Parameter(F.normalize(torch.randn(config.num_words, dim), dim=1))

    def forward(self, tokens: Tokens) -> Tensor:
        patches = self.mix(tokens.patches)
        cells = [F.adaptive_avg_pool2d(patches, n).flatten(2) for n in self.levels]  # (B, D, n*n)
        fused = torch.cat([tokens.cls.unsqueeze(2), *cells], dim=2).transpose(1, 2)  # (B, T, D)
        if self.words is not None:
            fused = torch.cat([fused, word_residuals(patches, self.words)], dim=1)
        return F.normalize(fused, dim=2) if self.unit_tokens else fused


def _identity(dim: int) -> nn.Module:
    mix = nn.Conv2d(dim, dim, kernel_size=1)
    nn.init.dirac_(mix.weight)
    nn.init.constant_(mix.get_parameter('bias'), 0)
    return mix


def word_residuals(patches: Tensor, words: Tensor) -> Tensor:
    """What patches (B, D, h, w) differ by from their nearest word, summed: (B, words, D)."""
    features = F.normalize(patches.flatten(2).transpose(1, 2), dim=2)  # (B, N, D)
    # Nearest by squared distance; |feature| = 1 is the same for every word.
    nearest = (words.pow(2).sum(dim=1) - 2 * features @ words.T).argmin(dim=2)  # (B, N)
    members = F.one_hot(nearest, len(words)).to(features)  # (B, N, words)
    sums = members.transpose(1, 2) @ features  # (B, words, D)
    return sums - members.sum(dim=1).unsqueeze(2) * words

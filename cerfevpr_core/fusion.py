"""Tokens of one image -> pyramid tokens (section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cerfevpr_core.backbone import Tokens
from cerfevpr_core.config import FusionConfig
from cerfevpr_core.errors import MapError

_ROUNDS = 10  # of k-means on a map
_HOLD = 20.0  # patches that a trained word counts for then; an image has some 200


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

    @torch.no_grad()
    def fit_words(self, patches: Iterable[Tensor]) -> None:
        """Move the words to where the patches (N, D, h, w) of a map's images are.

        Some rounds of k-means that start from the trained words and hold on to them: a word
        that the map hardly shows stays where it was, so that even one image can be fitted on.
        """
        assert self.words is not None
        parts = [_local_features(self.mix(part)).flatten(0, 1) for part in patches]  # (M, D)
        trained, words = self.words.detach().clone(), self.words.detach().clone()
        for _ in range(_ROUNDS):
            sums, counts = torch.zeros_like(words), torch.zeros(len(words), 1).to(words)
            for part in parts:
                nearest = _nearest(part, words)  # (M,)
                sums.index_add_(0, nearest, part)
                counts += torch.bincount(nearest, minlength=len(words)).unsqueeze(1)
            words = (sums + _HOLD * trained) / (counts + _HOLD)
        self.load_words(words.cpu().numpy())

    def load_words(self, words: NDArray[np.float32]) -> None:
        """Take words (num_words, D) that were fitted before. Raises MapError for another size."""
        assert self.words is not None
        if words.shape != tuple(self.words.shape):
            raise MapError(
                f'the map has words of {words.shape}, expected {tuple(self.words.shape)}; '
                'build the map again'
            )
        with torch.no_grad():
            self.words.copy_(torch.from_numpy(np.ascontiguousarray(words, np.float32)))


def _identity(dim: int) -> nn.Module:
    mix = nn.Conv2d(dim, dim, kernel_size=1)
    nn.init.dirac_(mix.weight)
    nn.init.constant_(mix.get_parameter('bias'), 0)
    return mix


def word_residuals(patches: Tensor, words: Tensor) -> Tensor:
    """What patches (B, D, h, w) differ by from their nearest word, summed: (B, words, D)."""
    features = _local_features(patches)  # (B, N, D)
    nearest = _nearest(features, words)  # (B, N)
    members = F.one_hot(nearest, len(words)).to(features)  # (B, N, words)
    sums = members.transpose(1, 2) @ features  # (B, words, D)
    return sums - members.sum(dim=1).unsqueeze(2) * words


def _local_features(patches: Tensor) -> Tensor:
    """The patch grid (B, D, h, w) as unit-length features (B, h * w, D)."""
    return F.normalize(patches.flatten(2).transpose(1, 2), dim=2)


def _nearest(features: Tensor, words: Tensor) -> Tensor:
    """Index of the nearest word by squared distance; |feature| = 1 is the same for every word."""
    return (words.pow(2).sum(dim=1) - 2 * features @ words.T).argmin(dim=-1)

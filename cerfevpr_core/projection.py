"""Tokens of an image -> its descriptor: the paper's flattened W_proj, or a compact one."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cerfevpr_core.config import EncoderConfig


class TokenProjection(nn.Module):
    """W_proj of eq. 11, flattened: (B, T, D) -> (B, num_tokens * token_dim), unit length."""

    def __init__(self, config: EncoderConfig, num_tokens: int, dim: int) -> None:
        super().__init__()
        token_dim = config.token_dim or dim
        out_tokens = config.num_tokens or num_tokens
        self.project = nn.Linear(dim, token_dim) if config.token_dim else nn.Identity()
        self.mix = nn.Linear(num_tokens, out_tokens) if config.num_tokens else nn.Identity()
        self.descriptor_dim = out_tokens * token_dim

    def forward(self, tokens: Tensor) -> Tensor:
        projected = self.project(tokens).transpose(1, 2)  # (B, d, T)
        return F.normalize(self.mix(projected).flatten(1), dim=1)  # (B, E)


class CompactProjection(nn.Module):
    """Cells and words apart, each to a unit vector; both weighted: (B, T, D) -> (B, E).

    A similarity is then `word_weight`**2 of what the words say and the rest of what the cells
    say. Two stages, each token to d numbers and all of them to the descriptor, keep it small.
    Cells and words get half of `descriptor_dim` each, but no more than their tokens' numbers.
    """

    def __init__(self, config: EncoderConfig, num_cells: int, num_words: int, dim: int) -> None:
        super().__init__()
        token_dim = config.token_dim or dim
        self.sizes = [num_cells, num_words] if num_words else [num_cells]
        parts = _halves(config.descriptor_dim, num_cells * token_dim, num_words * token_dim)
        self.descriptor_dim = sum(parts)
        self.mean = nn.Parameter(torch.zeros(num_cells + num_words, dim))
        self.narrow = nn.Parameter(
            torch.randn(num_cells + num_words, dim, token_dim) / math.sqrt(dim)
        )
        self.widen = nn.ModuleList(
            nn.Linear(size * token_dim, out) for size, out in zip(self.sizes, parts, strict=False)
        )
        weight = config.word_weight if num_words else 0.0
        self.weights = (math.sqrt(1 - weight**2), weight)

    def forward(self, tokens: Tensor) -> Tensor:
        parts = self.narrowed(tokens).split(self.sizes, dim=1)  # of (B, T, d)
        units = [
            weight * F.normalize(widen(part.flatten(1)), dim=1)
            for widen, part, weight in zip(self.widen, parts, self.weights, strict=False)
        ]
        return torch.cat(units, dim=1)  # (B, E)

    def narrowed(self, tokens: Tensor) -> Tensor:
        """Each token, centred, to its own d numbers: (B, T, D) -> (B, T, d)."""
        return torch.einsum('btd,tde->bte', tokens - self.mean, self.narrow)


def _halves(total: int, num_cells: int, num_words: int) -> tuple[int, int]:
    """How many numbers of the descriptor are for the cells and how many for the words."""
    for_cells = min(total - min(total // 2, num_words), num_cells)
    return for_cells, min(total - for_cells, num_words)

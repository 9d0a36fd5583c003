"""Tokens of an image -> its descriptor: the paper's flattened W_proj, or one fitted on the map."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cerfevpr_core.config import EncoderConfig
from cerfevpr_core.errors import MapError

_LEAST_VARIANCE = 1e-6  # of the largest; images that repeat another span nothing new


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


class MapProjection(nn.Module):
    """Fitted on a map's images: (B, T, D) -> (B, E), unit length; (B, T * D) until then.

    Two stages, which keep a query cheap. `narrow` turns what all cells, and all words, have in
    common to its d principal directions on this map. `basis` then spans the map's own
    descriptors, so that up to E keyframes lose nothing between themselves, where one fitted
    elsewhere loses what makes this place special. Directions that are left over are random: what
    a robot adds later is still told apart, as well as that many random numbers can (Johnson and
    Lindenstrauss). A map that starts empty has no such stage: with a basis of no rows all numbers
    stay, (B, T * d).
    """

    def __init__(self, config: EncoderConfig, num_cells: int, num_words: int, dim: int) -> None:
        super().__init__()
        token_dim = config.token_dim or dim
        self.sizes = [num_cells, num_words] if num_words else [num_cells]
        self.weights = _weights(config, num_words)
        narrow_dim = (num_cells + num_words) * token_dim
        self.narrow_shape = (len(self.sizes), dim, token_dim)
        self.basis_shape = (min(config.descriptor_dim, narrow_dim), narrow_dim)
        self.descriptor_dim = self.basis_shape[0]
        self.narrow: Tensor
        self.basis: Tensor
        self.register_buffer('narrow', torch.eye(dim).repeat(2, 1, 1), persistent=False)
        self.register_buffer('basis', torch.zeros(0, narrow_dim), persistent=False)
        self.fitted = False

    def forward(self, tokens: Tensor) -> Tensor:
        joined = self._joined(tokens)
        if not len(self.basis):
            return joined
        # Reading the basis is what this costs: in half precision it stays in a CPU's cache.
        return F.normalize(F.linear(joined.half(), self.basis).float(), dim=1)

    @torch.no_grad()
    def fit(self, tokens: Tensor) -> None:
        """Principal directions (not centred) of the tokens (N, T, D), first each, then all."""
        parts = [part.flatten(0, 1) for part in tokens.split(self.sizes, dim=1)]  # (M, D)
        directions = torch.stack([torch.linalg.eigh(part.T @ part)[1] for part in parts])
        self.narrow = directions[:, :, -self.narrow_shape[2] :]
        joined = self._joined(tokens)  # (N, T * d)
        scatter = joined @ joined.T  # (N, N): images are fewer than their numbers
        variance, images = torch.linalg.eigh(scatter.double())
        kept = variance > _LEAST_VARIANCE * variance[-1]
        kept[: -self.basis_shape[0]] = False
        scaled = images[:, kept] * variance[kept].rsqrt()
        own = (scaled.T.to(joined) @ joined).flip(0)  # strongest first
        left_over = (self.basis_shape[0] - len(own), self.basis_shape[1])
        draw = np.random.default_rng(0).standard_normal(left_over, np.float32)
        other = torch.from_numpy(draw).to(joined) / math.sqrt(max(len(draw), 1))
        other -= (other @ own.T) @ own
        self.load(self.narrow.cpu().numpy(), torch.cat([own, other]).cpu().numpy())

    def load(self, narrow: NDArray[np.floating], basis: NDArray[np.floating]) -> None:
        """Take what was fitted before. Raises MapError for another size."""
        whole = (0, self.basis_shape[1])
        if narrow.shape != self.narrow_shape or basis.shape not in (self.basis_shape, whole):
            raise MapError(
                f'the map has a projection of {narrow.shape} and {basis.shape}, expected '
                f'{self.narrow_shape} and {self.basis_shape}; build the map again'
            )
        # As a map keeps it: a descriptor is the same before and after.
        narrow, basis = (np.ascontiguousarray(each, np.float16) for each in (narrow, basis))
        self.narrow = torch.from_numpy(narrow).float().to(self.narrow.device)
        self.basis = torch.from_numpy(basis).to(self.basis.device)
        self.descriptor_dim = len(basis) or basis.shape[1]
        self.fitted = True

    def _joined(self, tokens: Tensor) -> Tensor:
        """All cells as one unit vector, all words as another, both weighted: (B, T * d)."""
        # Not each token: what is left of an absent word is small, and should stay so.
        parts = tokens.split(self.sizes, dim=1)
        units = [
            weight * F.normalize((part @ narrow).flatten(1), dim=1)
            for part, narrow, weight in zip(parts, self.narrow, self.weights, strict=False)
        ]
        return torch.cat(units, dim=1)


def _weights(config: EncoderConfig, num_words: int) -> tuple[float, float]:
    """Of cells and words; a similarity has their squares."""
    weight = config.word_weight if num_words else 0.0
    return math.sqrt(1 - weight**2), weight

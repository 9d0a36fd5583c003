"""Pyramid tokens of all variants of an image -> its descriptor (section 3.4)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from cerfevpr_core.config import EncoderConfig
from cerfevpr_core.errors import ConfigError


class RobustEncoder(nn.Module):
    """Attention across the variants of one image, eqs 8-11: (B, V, T, D) -> (B, E), unit length.

    Each pyramid position attends to the same position of the image's other variants, never to
    another image, so that a descriptor is the same in any batch. The original is the last variant.
    """

    def __init__(self, config: EncoderConfig, num_tokens: int, dim: int) -> None:
        super().__init__()
        if dim % config.num_heads:
            raise ConfigError(
                f'encoder.num_heads = {config.num_heads}: expected a divisor of the '
                f"backbone's token size {dim}"
            )
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                dim,
                config.num_heads,
                config.ffn_dim,
                dropout=0.0,
                activation='relu',
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.num_layers)
        )
        token_dim = config.token_dim or dim
        out_tokens = config.num_tokens or num_tokens
        self.project = nn.Linear(dim, token_dim) if config.token_dim else nn.Identity()
        self.mix = nn.Linear(num_tokens, out_tokens) if config.num_tokens else nn.Identity()
        self.descriptor_dim = out_tokens * token_dim

    def forward(self, fused: Tensor) -> Tensor:
        num_images, _, num_tokens, _ = fused.shape
        rows = fused.transpose(1, 2).flatten(0, 1)  # (B*T, V, D)
        for layer in self.layers:
            rows = layer(rows)  # eqs 9 and 10
        original = rows[:, -1].unflatten(0, (num_images, num_tokens))  # (B, T, D)
        projected = self.project(original).transpose(1, 2)  # (B, d, T)
        return F.normalize(self.mix(projected).flatten(1), dim=1)  # (B, E), eq. 11

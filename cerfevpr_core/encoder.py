"""Pyramid tokens of all variants of an image -> its descriptor (section 3.4)."""

from __future__ import annotations

from torch import Tensor, nn

from cerfevpr_core.config import EncoderConfig
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.projection import MapProjection, TokenProjection


class RobustEncoder(nn.Module):
    """Attention across the variants of one image, eqs 8-11: (B, V, T, D) -> (B, E), unit length.

    Each pyramid position attends to the same position of the image's other variants, never to
    another image, so that a descriptor is the same in any batch. The original is the last variant.
    The tokens are `num_cells` cells, then words.
    """

    def __init__(
        self, config: EncoderConfig, num_tokens: int, dim: int, num_cells: int | None = None
    ) -> None:
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
        num_cells = num_tokens if num_cells is None else num_cells
        num_words = num_tokens - num_cells
        self.projection: TokenProjection | MapProjection
        if not config.descriptor_dim:
            self.projection = TokenProjection(config, num_tokens, dim)
        else:
            self.projection = MapProjection(config, num_cells, num_words, dim)
        self.descriptor_dim = self.projection.descriptor_dim

    def forward(self, fused: Tensor) -> Tensor:
        return self.projection(self.robust_tokens(fused))  # (B, E), eq. 11

    def robust_tokens(self, fused: Tensor) -> Tensor:
        """The original's tokens, having seen those of its variants: (B, V, T, D) -> (B, T, D)."""
        num_images, _, num_tokens, _ = fused.shape
        rows = fused.transpose(1, 2).flatten(0, 1)  # (B*T, V, D)
        for layer in self.layers:
            rows = layer(rows)  # eqs 9 and 10
        return rows[:, -1].unflatten(0, (num_images, num_tokens))  # (B, T, D)

    def start_as_identity(self) -> None:
        """Silence the layers' branches, so that training starts from the tokens as they are."""
        for layer in self.layers:
            for name in ('self_attn.out_proj', 'linear2'):
                for parameter in layer.get_submodule(name).parameters():
                    nn.init.zeros_(parameter)

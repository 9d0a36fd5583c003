"""The adapters of section 3.2: the few tunable layers inside a frozen ViT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cerfevpr_core.config import AdapterConfig
from cerfevpr_core.errors import ConfigError


@dataclass
class PatchGrid:
    """What the adapters of one ViT must know of the image in flight: how its patches lie."""

    num_prefix_tokens: int = 1  # CLS and registers, which bypass the convolutions
    height: int = 0
    width: int = 0


class VanillaAdapter(nn.Module):
    """Down, ReLU, up: tokens (B, N, D) -> (B, N, D); zero at the start of training."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.down = nn.Linear(dim, hidden_dim)
        self.up = _zero(nn.Linear(hidden_dim, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.up(F.relu(self.down(tokens)))


class LargeKernelAdapter(nn.Module):
    """Down, parallel 3x3, 5x5, 7x7 convolutions with a skip, ReLU, up (eq. 4).

    Tokens (B, prefix + h * w, D) -> the same; zero at the start of training. A 1x1 bottleneck
    stands before each branch: dense branches alone would exceed the paper's parameter count.
    """

    def __init__(self, dim: int, hidden_dim: int, grid: PatchGrid) -> None:
        super().__init__()
        if hidden_dim % 24:
            raise ConfigError(f'adapters.hidden_dim = {hidden_dim}: expected a multiple of 24')
        bottleneck, branch = hidden_dim // 8, hidden_dim // 3
        self.grid = grid
        self.down = nn.Linear(dim, hidden_dim)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(hidden_dim, bottleneck, kernel_size=1),
                nn.Conv2d(bottleneck, branch, kernel_size=k, padding=k // 2),
            )
            for k in (3, 5, 7)
        )
        self.up = _zero(nn.Linear(hidden_dim, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        prefix = self.grid.num_prefix_tokens
        hidden = self.down(tokens)  # (B, prefix + N, hidden)
        skip = hidden[:, prefix:].transpose(1, 2).unflatten(2, (self.grid.height, self.grid.width))
        mixed = skip + torch.cat([branch(skip) for branch in self.branches], dim=1)
        hidden = torch.cat([hidden[:, :prefix], mixed.flatten(2).transpose(1, 2)], dim=1)
        return self.up(F.relu(hidden))


class AdaptedBlock(nn.Module):
    """A timm ViT block with adapters (eqs 5 and 6), tokens (B, N, D) -> (B, N, D).

    Against the equations we keep what the pretrained block relies on: the residual around
    attention, LayerScale, and a skip around the serial adapter, without which a zero start
    would silence attention.
    """

    def __init__(self, block: Any, config: AdapterConfig, dim: int, grid: PatchGrid) -> None:
        super().__init__()

        def adapter(kind: str) -> nn.Module:
            if kind == 'lka':
                return LargeKernelAdapter(dim, config.hidden_dim, grid)
            return VanillaAdapter(dim, config.hidden_dim)

        serial, before_mlp, parallel = _KINDS[config.placement]
        self.block: Any = block  # of timm
        self.serial = adapter(serial)
        self.before_mlp = adapter(before_mlp) if before_mlp else None
        self.parallel = adapter(parallel) if parallel else None
        self.scale = config.scale

    def forward(self, tokens: Tensor, **attention_options: object) -> Tensor:
        block = self.block
        normed = block.norm1(tokens)
        attended = block.attn(normed + self.serial(normed), **attention_options)
        tokens = tokens + block.drop_path1(block.ls1(attended))  # eq. 5
        normed = block.norm2(tokens)
        entering = normed if self.before_mlp is None else normed + self.before_mlp(normed)
        fed = block.drop_path2(block.ls2(block.mlp(entering)))
        if self.parallel is not None:
            fed = fed + self.scale * self.parallel(normed)
        return tokens + fed  # eq. 6


# Table 4: which adapter stands in series before attention, before the MLP, in parallel to it.
_KINDS: dict[str, tuple[str, str, str]] = {
    'serial_lka': ('lka', 'lka', ''),
    'serial_parallel_lka': ('lka', '', 'lka'),
    'serial_parallel_va': ('va', '', 'va'),
    'serial_va_parallel_lka': ('va', '', 'lka'),
}


def _zero(linear: nn.Linear) -> nn.Linear:
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear

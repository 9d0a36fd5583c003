"""The landmark localization network: which cells of a feature map tell a place (section II-A)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cerfevpr_core.checkpoint import load_network
from cerfevpr_core.config import LlnConfig
from cerfevpr_core.errors import WeightsError

SHIPPED = Path(__file__).parents[1] / 'models' / 'landmarks.safetensors'

_BIAS = 0.5  # of the last layer at the start: no cell is silent before anything is learned


class LandmarkNetwork(nn.Module):
    """Feature maps (B, D, h, w) -> activations (B, h, w), none negative; any grid.

    Filters of several sizes side by side, one 1x1 convolution over all of them, ReLU. The cells
    are brought to unit length first, as eq. 3 compares them.
    """

    def __init__(self, dim: int, kernel_sizes: tuple[int, ...], num_filters: int) -> None:
        super().__init__()
        self.dim = dim
        self.scales = nn.ModuleList(
            nn.Conv2d(dim, num_filters, size, padding='same') for size in kernel_sizes
        )
        self.combine = nn.Conv2d(num_filters * len(kernel_sizes), 1, kernel_size=1)
        for layer in (*self.scales, self.combine):
            nn.init.xavier_uniform_(layer.get_parameter('weight'))
            nn.init.zeros_(layer.get_parameter('bias'))
        nn.init.constant_(self.combine.get_parameter('bias'), _BIAS)

    def forward(self, patches: Tensor) -> Tensor:
        units = F.normalize(patches, dim=1)
        seen = torch.cat([scale(units) for scale in self.scales], dim=1)  # (B, filters, h, w)
        return F.relu(self.combine(F.relu(seen))).squeeze(1)  # (B, h, w)


def embed(patches: Tensor, activations: Tensor) -> Tensor:
    """Weighted sum of all cells, eq. 1: (B, D, h, w), (B, h, w) -> (B, D), unit length."""
    units = F.normalize(patches, dim=1)
    return F.normalize(torch.einsum('bdhw,bhw->bd', units, activations), dim=1)


@dataclass(frozen=True)
class TrainedLandmarks:
    """A trained network, the hash of the backbone whose features it knows, and its notes."""

    network: LandmarkNetwork
    backbone: str
    notes: dict[str, Any]


def new_network(config: LlnConfig, dim: int) -> LandmarkNetwork:
    """As it starts."""
    return LandmarkNetwork(dim, config.kernel_sizes, config.num_filters)


def load_landmark_network(file: Path) -> TrainedLandmarks:
    """What `cerfevpr train landmarks` wrote, ready to run. Raises WeightsError."""
    saved = load_network(file)
    try:
        made_of = saved.settings
        network = LandmarkNetwork(
            made_of['dim'], tuple(made_of['lln.kernel_sizes']), made_of['lln.num_filters']
        )
        network.load_state_dict({name: value.float() for name, value in saved.state.items()})
        return TrainedLandmarks(network.eval(), str(made_of['backbone']), saved.notes)
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f'{file} is not a landmark network ({reason}); give a file of '
            '`cerfevpr train landmarks`'
        ) from None

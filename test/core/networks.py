"""What the tests of the weights share: a tiny network, its tensors, and refusals."""

from __future__ import annotations

from functools import partial

import timm
import torch
from samples import TINY, error_of

from cerfevpr_core.errors import WeightsError

refused = partial(error_of, WeightsError)


def network() -> torch.nn.Module:
    """A tiny network with weights of its own."""
    torch.manual_seed(99)
    return timm.create_model(TINY)


def state(seed: int) -> dict[str, torch.Tensor]:
    """Other weights for it."""
    torch.manual_seed(seed)
    return timm.create_model(TINY).state_dict()


def equal(module: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> bool:
    """Whether the network holds exactly these tensors."""
    return all(torch.equal(value, tensors[key]) for key, value in module.state_dict().items())

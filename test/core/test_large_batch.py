"""A batch that is larger than the memory, in chunks: the same loss and gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cerfevpr_core.config import Config, RuntimeConfig, TrainConfig
from cerfevpr_core.training.large_batch import backward_whole_batch
from cerfevpr_core.training.objective import MultiSimilarity, Targets
from cerfevpr_core.training.processes import start_processes

CPU = Config(runtime=RuntimeConfig(device='cpu'))


class Describer(nn.Module):
    """A small model that also draws: dropout must be the same in both passes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 8)
        )

    def forward(self, variants: Tensor) -> Tensor:
        return F.normalize(self.layers(variants), dim=1)


def gradients(chunk_size: int, dropout: bool) -> tuple[float, Tensor]:
    torch.manual_seed(0)
    model = Describer().train(dropout)
    fabric = start_processes(CPU, 1)
    wrapped = fabric.setup_module(model)
    variants = torch.randn(12, 1, 3, 2, 2)
    targets = Targets(torch.arange(4).repeat_interleave(3), torch.arange(12))
    objective = MultiSimilarity(TrainConfig(miner_margin=0.5))
    loss = backward_whole_batch(fabric, wrapped, variants, targets, objective, chunk_size, seed=3)
    return float(loss), torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize('chunk_size', [1, 5, 6])
def test_chunks_give_the_loss_and_gradient_of_the_one_large_batch(chunk_size: int) -> None:
    whole_loss, whole = gradients(12, dropout=False)
    loss, found = gradients(chunk_size, dropout=False)
    assert whole.abs().max() > 1e-3
    assert loss == pytest.approx(whole_loss, rel=1e-6)
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-7)


def test_both_passes_of_a_chunk_drop_out_the_same() -> None:
    """The gradient of a step must be that of its loss: checked along one parameter."""
    torch.manual_seed(0)
    model = Describer().train()
    fabric = start_processes(CPU, 1)
    wrapped = fabric.setup_module(model)
    variants = torch.randn(12, 1, 3, 2, 2)
    targets = Targets(torch.arange(4).repeat_interleave(3), torch.arange(12))

    def objective(descriptors: Tensor, _: Targets) -> Tensor:
        return (descriptors @ descriptors.T)[targets.places[:, None] != targets.places].mean()

    def loss() -> float:
        model.zero_grad()
        return float(backward_whole_batch(fabric, wrapped, variants, targets, objective, 4, 9))

    middle = model.layers[1].bias
    loss()
    slope = float(middle.grad[0])
    values = []
    for shift in (1e-3, -2e-3):
        with torch.no_grad():
            middle[0] += shift
        values.append(loss())
    assert slope == pytest.approx((values[0] - values[1]) / 2e-3, abs=2e-4)

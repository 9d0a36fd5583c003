"""The loss of the training: eq. 12 over the hardest images."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cerfevpr_core.config import TrainConfig
from cerfevpr_core.training.objective import MultiSimilarity, Targets


def by_hand(similarity: Tensor, labels: Tensor, config: TrainConfig) -> Tensor:
    """Eq. 12 with the miner's rule, pair by pair; one loss an image."""
    losses = []
    for q in range(len(labels)):
        own = [i for i in range(len(labels)) if i != q and labels[i] == labels[q]]
        foreign = [i for i in range(len(labels)) if labels[i] != labels[q]]
        lowest = min(float(similarity[q, p]) for p in own)
        highest = max(float(similarity[q, n]) for n in foreign)
        hard_own = [p for p in own if similarity[q, p] < highest + config.miner_margin]
        hard_foreign = [n for n in foreign if similarity[q, n] > lowest - config.miner_margin]
        near = sum(math.exp(-config.alpha * float(similarity[q, p])) for p in hard_own)
        far = sum(math.exp(config.beta * float(similarity[q, n])) for n in hard_foreign)
        losses.append(math.log(1 + near) / config.alpha + math.log(1 + far) / config.beta)
    return torch.tensor(losses)


@pytest.mark.parametrize('hard_fraction', [1.0, 0.25])
def test_the_loss_is_equation_12_over_the_hardest_images(hard_fraction: float) -> None:
    config = TrainConfig(hard_fraction=hard_fraction)
    torch.manual_seed(0)
    descriptors = F.normalize(torch.randn(8, 6), dim=1)
    labels = torch.arange(4).repeat_interleave(2)
    expected = by_hand(descriptors @ descriptors.T, labels, config)
    expected = expected.sort(descending=True).values[: round(8 * hard_fraction)].mean()
    found = MultiSimilarity(config)(descriptors, Targets(labels, torch.arange(8)))
    assert float(found) == pytest.approx(float(expected), rel=1e-4)


def test_a_batch_without_hard_pairs_costs_nothing() -> None:
    descriptors = torch.eye(4).repeat_interleave(2, dim=0).requires_grad_()
    labels = torch.arange(4).repeat_interleave(2)
    loss = MultiSimilarity(TrainConfig())(descriptors, Targets(labels, labels))
    loss.backward()
    assert loss.item() == 0 and not descriptors.grad.any()

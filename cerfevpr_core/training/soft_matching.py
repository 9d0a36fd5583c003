"""Landmark similarity that a network can learn from: eqs 3 to 5 with soft choices."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_SHARPNESS = 8.0  # of the loss: similarities differ by some hundredths
_REACH = 1.5  # cells: how far off the common shift a match still counts


def matching_loss(patches: Tensor, activations: Tensor, temperature: float) -> Tensor:
    """Of tuples (B, 2 + K, D, h, w) and (B, 2 + K, h, w): query, positive, K negatives.

    Cross-entropy of finding the positive among the negatives by `soft_similarity`.
    """
    similarity = soft_similarity(patches, activations, temperature)  # (B, 1 + K)
    positives = torch.zeros(len(similarity), dtype=torch.long, device=similarity.device)
    return F.cross_entropy(_SHARPNESS * similarity, positives)


def soft_similarity(patches: Tensor, activations: Tensor, temperature: float) -> Tensor:
    """The first image of each tuple with each of the others: (B, 1 + K).

    Mutual nearest neighbours become a product of two softmaxes; the weight of eq. 4 looks at the
    shift that most of them agree on, which is not differentiated. Activations weigh each
    match on both sides, so that a cell that matches wrongly had better be silent.
    """
    height, width = patches.shape[-2:]
    units = F.normalize(patches, dim=2).flatten(3)  # (B, 2 + K, D, N)
    similar = torch.einsum('bdi,bkdj->bkij', units[:, 0], units[:, 1:])  # eq. 3: (B, 1 + K, N, N)
    logits = similar / temperature
    mutual = logits.softmax(dim=3) * logits.softmax(dim=2)
    agreeing = mutual * similar * _agreement(mutual.detach(), height, width)
    cells = activations.flatten(2)  # (B, 2 + K, N)
    query, others = cells[:, :1], cells[:, 1:]
    total = torch.einsum('bki,bkij,bkj->bk', query.expand_as(others), agreeing, others)
    return total / (query.sum(dim=2) * others.sum(dim=2) + 1e-6).sqrt()


def _agreement(mutual: Tensor, height: int, width: int) -> Tensor:
    """Eq. 4 for every pair of cells, about the most frequent shift: (B, K, N, N)."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing='ij')
    dy = (y.flatten()[:, None] - y.flatten()).to(mutual.device)  # (N, N)
    dx = (x.flatten()[:, None] - x.flatten()).to(mutual.device)
    tall, wide = 2 * height - 1, 2 * width - 1
    bins = ((dy + height - 1) * wide + dx + width - 1).flatten()
    votes = mutual.flatten(0, 1).flatten(1)  # (B*K, N*N)
    histogram = torch.zeros(len(votes), tall * wide).to(votes).index_add_(1, bins, votes)
    smooth = F.avg_pool2d(histogram.view(-1, 1, tall, wide), 3, stride=1, padding=1)
    peak = smooth.flatten(1).argmax(dim=1).view(*mutual.shape[:2], 1, 1)
    off_y = dy - (peak // wide - height + 1)
    off_x = dx - (peak % wide - width + 1)
    return torch.exp(-0.5 * (off_y**2 + off_x**2) / _REACH**2)

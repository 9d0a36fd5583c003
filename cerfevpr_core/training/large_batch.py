"""The exact loss over a large batch on a small machine, and over several processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cerfevpr_core.training.objective import Objective, Targets


def backward_whole_batch(
    fabric: Any,  # lightning_fabric.Fabric, imported only where training starts
    model: Any,
    variants: Tensor,
    targets: Targets,
    objective: Objective,
    chunk_size: int,
    seed: int,
) -> Tensor:
    """Variants (B, V, 3, H, W) of this process -> the loss of the batch; gradients are added.

    Where the batch is larger than a chunk, descriptors are first computed without a graph, the
    loss is differentiated with respect to them, and each chunk is computed again to carry its
    part of that gradient to the parameters. The sum is the gradient of the one large batch.
    `seed` makes both passes draw the same, should a layer draw anything.
    """
    chunks = variants.split(chunk_size)

    def describe(number: int) -> Tensor:
        torch.manual_seed(seed + number)
        return model(chunks[number]).float()

    if len(chunks) == 1:
        known = [describe(0)]
        descriptors = known[0].detach()
    else:
        known = []
        with torch.no_grad():
            descriptors = torch.cat([describe(number) for number in range(len(chunks))])
    loss, gradient = _loss_and_gradient(fabric, descriptors, targets, objective)
    if not torch.isfinite(loss):
        return loss  # the caller stops; parameters stay clean
    for number, part in enumerate(gradient.split(chunk_size)):
        last = number == len(chunks) - 1
        with fabric.no_backward_sync(model, enabled=not last):
            output = known[number] if known else describe(number)
            fabric.backward(output, gradient=part)
    return loss


def _loss_and_gradient(
    fabric: Any, descriptors: Tensor, targets: Targets, objective: Objective
) -> tuple[Tensor, Tensor]:
    """The loss over all processes' descriptors, and its gradient for those of this one (b, E).

    Processes average what they carry back, so each carries its part times their number.
    """
    everything = _gather(fabric, descriptors).requires_grad_()
    all_targets = Targets(_gather(fabric, targets.places), _gather(fabric, targets.images))
    loss = objective(everything, all_targets)
    (gradient,) = torch.autograd.grad(loss, everything)
    first = fabric.global_rank * len(descriptors)
    own = gradient[first : first + len(descriptors)]
    return loss.detach(), own * fabric.world_size


def _gather(fabric: Any, rows: Tensor) -> Tensor:
    """Rows of this process (b, ...) -> those of all processes (B, ...), in order of rank."""
    if fabric.world_size == 1:
        return rows.detach().clone()
    parts = [torch.empty_like(rows) for _ in range(fabric.world_size)]
    torch.distributed.all_gather(parts, rows.contiguous())
    return torch.cat(parts)

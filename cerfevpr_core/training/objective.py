"""What a batch of descriptors is judged by: hard pairs (section 3.5), and a teacher."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from cerfevpr_core.config import TrainConfig
from cerfevpr_core.training.extras import needs


@dataclass(frozen=True)
class Targets:
    """What is known of a batch's images (B,): the place of each, and its number in the PlaceSet.

    Images are numbered through all places in order, so that a table of one row an image (a
    teacher's descriptors) can be looked up.
    """

    places: Tensor
    images: Tensor


# Descriptors (B, E) of the whole batch, over all processes, and their targets -> a scalar.
Objective = Callable[[Tensor, Targets], Tensor]


class MultiSimilarity:
    """Eq. 12 with the miner's pairs, over the images whose loss is largest (online hard examples).

    `hard_fraction` of the images count; the rest teach nothing.
    """

    def __init__(self, config: TrainConfig) -> None:
        with needs('train'):
            from pytorch_metric_learning.losses import MultiSimilarityLoss
            from pytorch_metric_learning.miners import MultiSimilarityMiner
            from pytorch_metric_learning.reducers import DoNothingReducer
        self.hard_fraction = config.hard_fraction
        self.miner = MultiSimilarityMiner(epsilon=config.miner_margin)
        self.loss = MultiSimilarityLoss(
            config.alpha, config.beta, config.base, reducer=DoNothingReducer()
        )

    def __call__(self, descriptors: Tensor, targets: Targets) -> Tensor:
        pairs = self.miner(descriptors, targets.places)
        found = self.loss(descriptors, targets.places, pairs)['loss']
        if found['reduction_type'] == 'already_reduced':  # no pair is hard any more
            return 0 * descriptors.sum()
        losses = found['losses'].flatten()  # (B,)
        num_hard = math.ceil(self.hard_fraction * len(losses))
        return losses.topk(num_hard).values.mean()


class WithTeacher:
    """A main objective, and `weight` times what the batch's other places are unlike the teacher's.

    The teacher has one descriptor for each image as it is (M, E). Where two images show different
    places, their similarity shall stay what the teacher found, however both are changed by
    augmentation: a few places teach invariance, and nothing that the teacher told apart is lost.
    """

    def __init__(self, objective: Objective, teacher: Tensor, weight: float) -> None:
        self.objective, self.teacher, self.weight = objective, teacher, weight

    def __call__(self, descriptors: Tensor, targets: Targets) -> Tensor:
        known = self.teacher.to(descriptors.device)[targets.images].to(descriptors)  # (B, E)
        apart = targets.places.unsqueeze(1) != targets.places
        error = (descriptors @ descriptors.T - known @ known.T)[apart]
        return self.objective(descriptors, targets) + self.weight * error.pow(2).mean()

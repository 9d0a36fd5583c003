"""How a version answers the held-out traverses, and what of a difference is noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cerfevpr_core.config import Config
from cerfevpr_core.model import CerfeVPR
from cerfevpr_core.training.begin import stack_of
from cerfevpr_core.training.pictures import original_alone
from cerfevpr_core.training.teacher import Track
from cerfevpr_core.training.validation import Traverse, ranks, recall

RECALL_AT = (1, 5, 10)

Ranks = Mapping[str, NDArray[np.int64]]  # by traverse: of the first right answer, from 1


def answer(model: nn.Module, config: Config, traverses: Sequence[Traverse], track: Track) -> Ranks:
    """One image at a time, with the variants that a map's images and queries will have."""
    mapped = stack_of(config)
    asked = mapped if config.variants.at_query else original_alone(config.backbone.image_size)
    return {
        traverse.name: ranks(model, traverse, mapped, asked)
        for traverse in track(traverses, 'answering traverses', len(traverses))
    }


def recalls(found: Ranks) -> dict[str, dict[str, float]]:
    """Recall at K in percent by traverse; `mean` is over the traverses, each counting alike."""
    table = {name: {str(k): recall(rows, k) for k in RECALL_AT} for name, rows in found.items()}
    means = {str(k): _mean([row[str(k)] for row in table.values()]) for k in RECALL_AT}
    return {'mean': means, **table}


def standard_error(found: Ranks) -> float:
    """Of the mean recall at 1, from the number of queries alone, in percent points."""
    return _error({name: (rows == 1).astype(float) for name, rows in found.items()})


def difference(found: Ranks, first: Ranks) -> dict[str, float]:
    """Mean recall at 1 less that of the first version, and its standard error.

    Both answered the same queries, so it is the queries that only one of them answered that
    count. Queries of one camera are alike, so the true error is rather larger.
    """
    gains = {name: (rows == 1) * 1.0 - (first[name] == 1) for name, rows in found.items()}
    mean = _mean([100 * float(gain.mean()) for gain in gains.values()])
    return {'recall_at_1': mean, 'standard_error': _error(gains)}


def counts(model: nn.Module, config: Config) -> dict[str, Any]:
    """What tells one network from another: parameters, tokens, size of the descriptor."""
    parameters = list(model.parameters())
    fusion = getattr(model, 'fusion', None)
    found: dict[str, Any] = {
        'num_parameters': sum(p.numel() for p in parameters),
        'num_tunable': sum(p.numel() for p in parameters if p.requires_grad),
        'descriptor_dim': _descriptor_dim(model, config),
    }
    if fusion is not None:
        found['num_tokens'] = int(fusion.num_tokens)
    found['num_variants'] = 1 + len(config.variants.conditions)
    return found


@torch.inference_mode()
def _descriptor_dim(model: nn.Module, config: Config) -> int:
    if isinstance(model, CerfeVPR):
        return model.descriptor_dim
    height, width = config.backbone.image_size
    some: Tensor = model.eval()(torch.zeros(1, 1, 3, height, width))
    return some.shape[1]


def _error(values: Mapping[str, NDArray[np.float64]]) -> float:
    """Standard error of the mean over traverses of the mean over queries, in percent points."""
    variances = [float(row.var()) / len(row) for row in values.values()]
    return 100 * math.sqrt(sum(variances)) / len(variances)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

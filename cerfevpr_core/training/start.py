"""Where training starts from: visual words fitted to what the frozen backbone sees."""

from __future__ import annotations

from collections.abc import Iterable

import faiss
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cerfevpr_core.errors import ConfigError
from cerfevpr_core.model import CerfeVPR

_WORD_FEATURES = 60_000  # patches that the words are clustered from


@torch.no_grad()
def fit_start(model: CerfeVPR, renditions: Iterable[Tensor], seed: int) -> None:
    """Fit the words, where there are any, to renditions (3, H, W); silence the encoder's layers.

    Raises ConfigError where there are too few for the settings.
    """
    model.encoder.start_as_identity()
    if model.fusion.words is None:
        return
    device = next(model.parameters()).device
    seen = [model.backbone(image[None].to(device)).patches.half() for image in renditions]
    model.fusion.words.copy_(_cluster(torch.cat(seen), len(model.fusion.words), seed))


def _cluster(patches: Tensor, num_words: int, seed: int) -> Tensor:
    """Centres of the unit-length patches (N, D, h, w): (num_words, D)."""
    features = patches.flatten(2).transpose(1, 2).flatten(0, 1)  # (N*h*w, D)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(features))[:_WORD_FEATURES])
    units = F.normalize(features[torch.from_numpy(chosen)].float(), dim=1).cpu().numpy()
    if len(units) < num_words:
        raise ConfigError(
            f'fusion.num_words = {num_words}: the places give {len(units)} patches; add images'
        )
    kmeans = faiss.Kmeans(
        units.shape[1],
        num_words,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=_WORD_FEATURES,
    )
    kmeans.train(units)
    return torch.from_numpy(np.asarray(kmeans.centroids))

"""Training-free heads: tokens of an image -> a descriptor, as users would compare with."""

from __future__ import annotations

import faiss
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from cerfevpr_core.backbone import Tokens
from cerfevpr_core.config import GemConfig, GridConfig, VladConfig
from cerfevpr_core.errors import MapError


class ClsHead(nn.Module):
    """The CLS token: Tokens -> (B, D), unit length."""

    def forward(self, tokens: Tokens) -> Tensor:
        return F.normalize(tokens.cls, dim=1)


class GemHead(nn.Module):
    """Generalised mean over the patch grid: Tokens -> (B, D), unit length."""

    def __init__(self, config: GemConfig) -> None:
        super().__init__()
        self.p = config.p

    def forward(self, tokens: Tokens) -> Tensor:
        powers = tokens.patches.clamp(min=1e-6).pow(self.p)
        return F.normalize(powers.mean(dim=(2, 3)).pow(1 / self.p), dim=1)


class HolisticHead(nn.Module):
    """Global maximum, the landmark paper's baseline: Tokens -> (B, D), unit length."""

    def forward(self, tokens: Tokens) -> Tensor:
        return F.normalize(tokens.patches.amax(dim=(2, 3)), dim=1)


class GridHead(nn.Module):
    """Average-pooled cells, flattened: Tokens -> (B, D * n * n), unit length."""

    def __init__(self, config: GridConfig) -> None:
        super().__init__()
        self.num_cells = config.num_cells

    def forward(self, tokens: Tokens) -> Tensor:
        return F.normalize(F.adaptive_avg_pool2d(tokens.patches, self.num_cells).flatten(1), dim=1)


class VladHead(nn.Module):
    """Residuals to the nearest visual word: Tokens -> (B, clusters * D), unit length.

    The vocabulary (clusters, D) is fitted on the map's own images and kept with the map.
    """

    vocabulary: Tensor

    def __init__(self, config: VladConfig, dim: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer('vocabulary', torch.zeros(config.num_clusters, dim))
        self.fitted = False

    def forward(self, tokens: Tokens) -> Tensor:
        assert self.fitted, 'the vocabulary is fitted or loaded before anything is described'
        features = local_features(tokens)  # (B, N, D)
        words = self.vocabulary
        # Nearest by squared distance; |feature| = 1 is the same for every word.
        nearest = (words.pow(2).sum(dim=1) - 2 * features @ words.T).argmin(dim=2)  # (B, N)
        members = F.one_hot(nearest, len(words)).to(features)  # (B, N, clusters)
        sums = members.transpose(1, 2) @ features  # (B, clusters, D)
        residuals = sums - members.sum(dim=1).unsqueeze(2) * words
        return F.normalize(F.normalize(residuals, dim=2).flatten(1), dim=1)

    def fit(self, features: NDArray[np.float32]) -> None:
        """Cluster local features (M, D), unit length. Raises MapError where there are too few."""
        num_clusters = self.config.num_clusters
        if len(features) < num_clusters:
            raise MapError(
                f'the map gives {len(features)} local features, fewer than vlad.num_clusters = '
                f'{num_clusters}; add images or use another method'
            )
        rng = np.random.default_rng(self.config.seed)
        chosen = rng.permutation(len(features))[: self.config.num_features]
        kmeans = faiss.Kmeans(
            features.shape[1],
            num_clusters,
            seed=self.config.seed,
            min_points_per_centroid=1,
            max_points_per_centroid=self.config.num_features,
        )
        kmeans.train(np.ascontiguousarray(features[np.sort(chosen)], np.float32))
        assert kmeans.centroids is not None
        self.load_vocabulary(kmeans.centroids)

    def load_vocabulary(self, vocabulary: NDArray[np.float32]) -> None:
        """Take a vocabulary (clusters, D) that was fitted before."""
        if vocabulary.shape != tuple(self.vocabulary.shape):
            raise MapError(
                f'the map has a vocabulary of {vocabulary.shape}, expected '
                f'{tuple(self.vocabulary.shape)}; build the map again'
            )
        self.vocabulary.copy_(torch.from_numpy(np.ascontiguousarray(vocabulary, np.float32)))
        self.fitted = True


def local_features(tokens: Tokens) -> Tensor:
    """The patch grid as unit-length local features: (B, D, h, w) -> (B, h * w, D)."""
    return F.normalize(tokens.patches.flatten(2).transpose(1, 2), dim=2)

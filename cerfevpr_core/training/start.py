"""Where training starts from: words and projection fitted to what the frozen backbone sees.

A projection that starts at random would first unlearn what the backbone knows. This one is a
discriminant analysis in closed form: it keeps the directions that tell places apart and shrinks
those in which the renditions of one place differ.
"""

from __future__ import annotations

from collections.abc import Iterable

import faiss
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cerfevpr_core.backbone import Tokens
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.model import CerfeVPR
from cerfevpr_core.projection import CompactProjection, TokenProjection

_WORD_FEATURES = 60_000  # patches that the words are clustered from
_WEIGHT_RMS = 0.02  # of the fitted layers: what the learning rate is in proportion to


@torch.no_grad()
def fit_start(model: CerfeVPR, renditions: Iterable[tuple[Tensor, int]], seed: int) -> None:
    """Fit words and a compact projection, where there are such, and silence the encoder's layers.

    Renditions are images (3, H, W) with the number of their place; two or more of each place.
    Raises ConfigError where there are too few for the settings.
    """
    model.encoder.start_as_identity()
    projection = model.encoder.projection
    if isinstance(projection, TokenProjection):
        return
    tokens, places = _tokens(model, renditions)
    if model.fusion.words is not None:
        model.fusion.words.copy_(cluster(tokens.patches, len(model.fusion.words), seed))
    if not isinstance(projection, CompactProjection):
        return  # its basis is a map's
    fused = torch.cat([model.fusion(part).half() for part in _parts(tokens)])  # (N, T, D)
    _fit_narrow(projection, fused)
    narrowed = torch.cat([projection.narrowed(part.float()) for part in fused.split(256)])
    for widen, part in zip(projection.widen, narrowed.split(projection.sizes, dim=1), strict=True):
        weight, bias = widen.get_parameter('weight'), widen.get_parameter('bias')
        matrix, mean = _discriminants(part.flatten(1), places, len(weight))
        scale = _WEIGHT_RMS / matrix.pow(2).mean().sqrt()
        weight.copy_(scale * matrix.T)
        bias.copy_(-scale * (mean @ matrix))


def _tokens(model: CerfeVPR, renditions: Iterable[tuple[Tensor, int]]) -> tuple[Tokens, Tensor]:
    """The frozen backbone's tokens in half precision, and the places (N,)."""
    device = next(model.parameters()).device
    cls, patches, places = [], [], []
    for image, place in renditions:
        seen = model.backbone(image[None].to(device))
        cls.append(seen.cls.half())
        patches.append(seen.patches.half())
        places.append(place)
    return Tokens(torch.cat(cls), torch.cat(patches)), torch.tensor(places, device=device)


def _parts(tokens: Tokens) -> Iterable[Tokens]:
    for cls, patches in zip(tokens.cls.split(256), tokens.patches.split(256), strict=True):
        yield Tokens(cls.float(), patches.float())


def cluster(patches: Tensor, num_words: int, seed: int) -> Tensor:
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


def _fit_narrow(projection: CompactProjection, fused: Tensor) -> None:
    """Principal directions: one set for all cells, since they move, and one for each word."""
    projection.mean.copy_(_mean(fused))
    num_cells, token_dim = projection.sizes[0], projection.narrow.shape[2]
    scatter = torch.stack(
        [
            torch.stack([_outer(part[:, token], mean) for part in fused.split(512)]).sum(dim=0)
            for token, mean in enumerate(projection.mean)
        ]
    )  # (T, D, D)
    scatter[:num_cells] = scatter[:num_cells].sum(dim=0)
    projection.narrow.copy_(torch.linalg.eigh(scatter)[1][:, :, -token_dim:])


def _outer(rows: Tensor, mean: Tensor) -> Tensor:
    centred = rows.float() - mean
    return centred.T @ centred


def _mean(fused: Tensor) -> Tensor:
    return torch.stack([part.float().sum(dim=0) for part in fused.split(512)]).sum(0) / len(fused)


def _discriminants(rows: Tensor, places: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Directions (P, count) for rows (N, P), and the rows' mean.

    The scatter within places is whitened half (its fourth root), strongly regularised; of what
    remains the principal directions are kept, scaled by the fourth root of their variance:
    whole whitening would lift noise, none would let a few directions decide.
    """
    if count > min(rows.shape):
        raise ConfigError(
            f'encoder.descriptor_dim: {count} directions wanted of {rows.shape[1]} numbers in '
            f'{len(rows)} images; lower it, or add images'
        )
    mean = rows.mean(dim=0)
    rows = rows - mean
    labels = torch.unique(places, return_inverse=True)[1]
    counts = torch.bincount(labels).unsqueeze(1)
    centres = torch.zeros(len(counts), rows.shape[1]).to(rows).index_add_(0, labels, rows) / counts
    apart = rows - centres[labels]
    within, total = apart.T @ apart / len(rows), rows.T @ rows / len(rows)
    within.diagonal().add_(within.diagonal().mean())
    variance, directions = torch.linalg.eigh(within)
    whiten = directions * variance.clamp(min=1e-12) ** -0.25
    variance, directions = torch.linalg.eigh(whiten.T @ total @ whiten)
    scaled = directions[:, -count:] * variance[-count:].clamp(min=1e-12) ** -0.25
    return whiten @ scaled, mean

"""The stages that turn images into descriptors, put together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cerfevpr_core.backbone import Backbone, Tokens, load_backbone
from cerfevpr_core.config import Config, Method
from cerfevpr_core.encoder import RobustEncoder
from cerfevpr_core.errors import ConfigError, MapError
from cerfevpr_core.fusion import PyramidFusion
from cerfevpr_core.heads import (
    ClsHead,
    GemHead,
    GridHead,
    HolisticHead,
    VladHead,
    local_features,
)
from cerfevpr_core.projection import MapProjection
from cerfevpr_core.trained import descriptor_file, fill, read_descriptor
from cerfevpr_core.weights import weights_hash

Fitted = dict[str, NDArray[np.floating]]


class CerfeVPR(nn.Module):
    """What trains together: variants (B, V, 3, H, W), the original last -> (B, E), unit length.

    Where something is fitted on maps, E is that of a map, and larger until then.
    """

    def __init__(self, backbone: Backbone, config: Config) -> None:
        super().__init__()
        self.backbone = backbone
        self.fusion = PyramidFusion(config.fusion, backbone.dim)
        self.encoder = RobustEncoder(
            config.encoder, self.fusion.num_tokens, backbone.dim, self.fusion.num_cells
        )
        self.descriptor_dim = self.encoder.descriptor_dim
        self.fit_images = config.encoder.fit_images  # of a map at most

    def forward(self, variants: Tensor) -> Tensor:
        tokens = self.backbone(variants.flatten(0, 1))  # cls (B*V, D), patches (B*V, D, h, w)
        return self.describe(tokens, variants.shape[1])

    def describe(self, tokens: Tokens, num_variants: int) -> Tensor:
        """What the backbone saw of B images' variants, the original last -> (B, E)."""
        fused = self.fusion(tokens).unflatten(0, (-1, num_variants))  # (B, V, T, D)
        return self.encoder(fused)  # (B, E), unit length

    @property
    def needs_fit(self) -> bool:
        """Whether words and projection are still to be fitted on a map."""
        projection = self.encoder.projection
        return isinstance(projection, MapProjection) and not projection.fitted

    @torch.inference_mode()
    def fit(self, images: Iterable[Tensor]) -> None:
        """Fit words and projection on a map's images (3, H, W)."""
        projection = self.encoder.projection
        assert isinstance(projection, MapProjection)
        # In half precision: 47 KB an image of 224 x 224.
        seen = [self.backbone(image[None]) for image in images]
        seen = [Tokens(each.cls.half(), each.patches.half()) for each in seen]
        if self.fusion.words is not None:
            self.fusion.fit_words([each.patches.float() for each in seen])
        fused = (self.fusion(Tokens(each.cls.float(), each.patches.float())) for each in seen)
        tokens = [self.encoder.robust_tokens(each[None]) for each in fused]
        projection.fit(torch.cat(tokens))

    def fitted(self) -> Fitted:
        """What `fit` found, by name; a map keeps it."""
        projection = self.encoder.projection
        if not isinstance(projection, MapProjection):
            return {}
        words = self.fusion.words
        found = {
            'narrow': projection.narrow.cpu().numpy().astype(np.float16),
            'basis': projection.basis.cpu().numpy().astype(np.float16),
        }
        return found if words is None else found | {'words': words.detach().cpu().numpy().copy()}

    def load_universal(self, fitted: Mapping[str, NDArray[np.floating]]) -> None:
        """Take what was fitted on other places, which is all but the basis. Raises MapError."""
        projection = self.encoder.projection
        assert isinstance(projection, MapProjection)
        self.load_fitted(dict(fitted) | {'basis': np.zeros((0, projection.basis_shape[1]))})

    def load_fitted(self, fitted: Mapping[str, NDArray[np.floating]]) -> None:
        """Take what was fitted when the map was built. Raises MapError if it does not fit."""
        projection = self.encoder.projection
        if isinstance(projection, MapProjection):
            projection.load(_part(fitted, 'narrow'), _part(fitted, 'basis'))
            if self.fusion.words is not None:
                self.fusion.load_words(_part(fitted, 'words'))


class TrainingFree(nn.Module):
    """A frozen backbone and a head: variants (B, V, 3, H, W) -> (B, E), of the original."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.fit_images = head.config.num_images if isinstance(head, VladHead) else 0

    def forward(self, variants: Tensor) -> Tensor:
        return self.describe(self.backbone(variants[:, -1]), 1)

    def describe(self, tokens: Tokens, num_variants: int) -> Tensor:
        """What the backbone saw of B images, one variant of each -> (B, E)."""
        assert num_variants == 1, 'a head knows nothing of variants'
        return self.head(tokens)

    @property
    def needs_fit(self) -> bool:
        """Whether the head's vocabulary is still to be fitted on a map."""
        return isinstance(self.head, VladHead) and not self.head.fitted

    @torch.inference_mode()
    def fit(self, images: Iterable[Tensor]) -> None:
        """Fit the vocabulary on a map's images (3, H, W)."""
        assert isinstance(self.head, VladHead)
        seen = [local_features(self.backbone(image[None]))[0].cpu().numpy() for image in images]
        self.head.fit(np.concatenate(seen))

    def fitted(self) -> Fitted:
        """What `fit` found, by name; a map keeps it."""
        if not isinstance(self.head, VladHead):
            return {}
        return {'vocabulary': self.head.vocabulary.cpu().numpy()}

    def load_fitted(self, fitted: Mapping[str, NDArray[np.floating]]) -> None:
        """Take what was fitted when the map was built. Raises MapError if it does not fit."""
        if isinstance(self.head, VladHead):
            self.head.load_vocabulary(_part(fitted, 'vocabulary'))


def _part(fitted: Mapping[str, NDArray[np.floating]], name: str) -> NDArray[np.floating]:
    if name not in fitted:
        raise MapError(f'the map lacks the {name} that its method fits; build the map again')
    return fitted[name]


def load_model(config: Config) -> nn.Module:
    """The model of `config.method`, with its weights, ready to run; the settings are settled.

    Raises ConfigError and WeightsError; never returns random weights.
    """
    if config.method == 'cerfevpr':
        model = new_model(config)
        fill(model, read_descriptor(config).state, str(descriptor_file(config)))
        return model.eval()
    backbone = load_backbone(config.backbone)
    return TrainingFree(backbone, _head(config, config.method, backbone.dim)).eval()


def new_model(config: Config) -> CerfeVPR:
    """CerfeVPR before training: a pretrained backbone, the other stages as they start."""
    return CerfeVPR(load_backbone(config.backbone, config.adapters), config)


def device_of(config: Config) -> torch.device:
    """The device that `runtime.device` names. Raises ConfigError where it is not there."""
    name = config.runtime.device
    if name == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f'runtime.device = {name}: {reason}; use auto or cpu') from None
    return device


def fingerprint(config: Config, model: nn.Module) -> str:
    """Configuration, weights and preprocessing in 16 hex digits: equal means comparable.

    What is fitted on a map (a vocabulary) belongs to that map and is left out.
    """
    parts: dict[str, object] = {
        'method': config.method,
        'backbone': asdict(config.backbone) | {'weights': ''},
        'resize': 'bicubic, antialiased, not keeping the aspect',
        'mean': model.get_buffer('backbone.mean').flatten().tolist(),
        'std': model.get_buffer('backbone.std').flatten().tolist(),
        'weights': weights_hash(model.get_submodule('backbone')),
    }
    if config.method == 'cerfevpr':
        parts['stages'] = [asdict(p) for p in (config.adapters, config.fusion, config.encoder)]
        parts['weights'] = weights_hash(model)
    if config.method in ('gem', 'grid', 'vlad'):
        parts['head'] = asdict(getattr(config, config.method))
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def backbone_fingerprint(model: nn.Module) -> str:
    """Weights and layer in 16 hex digits: equal means the same features of the same image."""
    backbone = model.get_submodule('backbone')
    assert isinstance(backbone, Backbone)
    text = f'{backbone.layer} {weights_hash(backbone)}'
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _head(config: Config, method: Method, dim: int) -> nn.Module:
    if method == 'cls':
        return ClsHead()
    if method == 'gem':
        return GemHead(config.gem)
    if method == 'holistic':
        return HolisticHead()
    if method == 'grid':
        return GridHead(config.grid)
    assert method == 'vlad', method
    return VladHead(config.vlad, dim)

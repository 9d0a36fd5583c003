"""The stages that turn images into descriptors, put together."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import torch
from torch import Tensor, nn

from cerfevpr_core.backbone import Backbone, load_backbone
from cerfevpr_core.config import Config, Method
from cerfevpr_core.encoder import RobustEncoder
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.fusion import PyramidFusion
from cerfevpr_core.heads import ClsHead, GemHead, GridHead, VladHead
from cerfevpr_core.trained import descriptor_file, fill, read_descriptor
from cerfevpr_core.weights import weights_hash


class CerfeVPR(nn.Module):
    """What trains together: variants (B, V, 3, H, W), the original last -> (B, E), unit length."""

    def __init__(self, backbone: Backbone, config: Config) -> None:
        super().__init__()
        self.backbone = backbone
        self.fusion = PyramidFusion(config.fusion, backbone.dim)
        self.encoder = RobustEncoder(
            config.encoder, self.fusion.num_tokens, backbone.dim, self.fusion.num_cells
        )
        self.descriptor_dim = self.encoder.descriptor_dim

    def forward(self, variants: Tensor) -> Tensor:
        tokens = self.backbone(variants.flatten(0, 1))  # cls (B*V, D), patches (B*V, D, h, w)
        fused = self.fusion(tokens).unflatten(0, variants.shape[:2])  # (B, V, T, D)
        return self.encoder(fused)  # (B, E), unit length


class TrainingFree(nn.Module):
    """A frozen backbone and a head: variants (B, V, 3, H, W) -> (B, E), of the original."""

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, variants: Tensor) -> Tensor:
        return self.head(self.backbone(variants[:, -1]))


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


def _head(config: Config, method: Method, dim: int) -> nn.Module:
    if method == 'cls':
        return ClsHead()
    if method == 'gem':
        return GemHead(config.gem)
    if method == 'grid':
        return GridHead(config.grid)
    assert method == 'vlad', method
    return VladHead(config.vlad, dim)

"""Build a backbone from its settings and fill it with pretrained weights."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from cerfevpr_core.backbone.adapters import AdaptedBlock, PatchGrid
from cerfevpr_core.config import AdapterConfig, BackboneConfig
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.weights import load_pretrained

Network = Any  # a timm model: its attributes differ by family, so no type says more


@dataclass(frozen=True)
class Tokens:
    """What a backbone returns: cls (B, D) and the patch grid (B, D, h, w), registers stripped."""

    cls: Tensor
    patches: Tensor


class Backbone(nn.Module):
    """A timm network up to one layer, frozen; images (B, 3, H, W) in [0, 1] -> Tokens.

    A ViT gives its CLS token; a CNN, and a ViT without one, the average of its feature map.
    `adapt` builds it; the network comes frozen, but for adapters.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: Network,
        layer: int,
        image_size: tuple[int, ...],
        grid: PatchGrid | None = None,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.network: Network = network.eval()
        self.grid = grid
        cfg = network.pretrained_cfg
        self.register_buffer('mean', torch.tensor(cfg['mean']).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(cfg['std']).view(1, 3, 1, 1), persistent=False)
        with torch.inference_mode():
            self.dim = self(torch.zeros(1, 3, *image_size)).patches.shape[1]

    def forward(self, images: Tensor) -> Tokens:
        images = (images - self.mean) / self.std
        if not _is_vit(self.network):
            patches = self.network.forward_intermediates(
                images, indices=[self.layer], intermediates_only=True, stop_early=True
            )[0]  # (B, D, h, w)
            return Tokens(patches.mean(dim=(2, 3)), patches)
        if self.grid is not None:
            patch_h, patch_w = _patch_size(self.network)
            self.grid.height = images.shape[2] // patch_h
            self.grid.width = images.shape[3] // patch_w
        found = self.network.forward_intermediates(
            images,
            indices=[self.layer],
            norm=self.layer == len(self.network.blocks) - 1,
            intermediates_only=True,
            stop_early=True,
            return_prefix_tokens=True,
        )[0]  # (B, D, h, w), and (B, prefix, D) where there are prefix tokens
        patches, prefix = found if isinstance(found, tuple) else (found, None)
        if prefix is None or getattr(self.network, 'cls_token', None) is None:
            return Tokens(patches.mean(dim=(2, 3)), patches)
        return Tokens(prefix[:, 0], patches)

    def train(self, mode: bool = True) -> Backbone:
        """Normalisation and dropout of the frozen network stay as in use; adapters have none."""
        return super().train(False)


def load_backbone(config: BackboneConfig, adapters: AdapterConfig | None = None) -> Backbone:
    """A pretrained backbone, with adapters if given; they leave its answers as they are.

    Raises ConfigError for an unknown name, layer or image size, WeightsError for the weights.
    """
    network = create_network(config)
    load_pretrained(network, config.name, config.weights)
    return adapt(network, config, adapters)


def create_network(config: BackboneConfig) -> Network:
    """The timm network of a name, whole and with random weights."""
    name = config.name.rpartition(':')[2]  # 'package:architecture' for weights of another origin
    if name.split('.')[0] not in timm.list_models():
        near = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.4)
        raise ConfigError(
            f'backbone.name = {config.name}: timm has no such model; '
            f'did you mean {", ".join(near) or "one of timm.list_models()"}?'
        )
    height, width = config.image_size
    network: Network
    try:
        network = timm.create_model(name, dynamic_img_size=True)
    except TypeError:  # not a ViT, or one of a fixed size
        network = timm.create_model(name)
    except RuntimeError as error:
        raise ConfigError(f'backbone.name = {config.name}: {error}') from None
    if not hasattr(network, 'forward_intermediates'):
        raise ConfigError(f'backbone.name = {name}: timm gives no feature maps of this model')
    if _is_vit(network):
        patch_h, patch_w = _patch_size(network)
        if height % patch_h or width % patch_w:
            near_h, near_w = (
                max(1, round(s / p)) * p for s, p in ((height, patch_h), (width, patch_w))
            )
            raise ConfigError(
                f'backbone.image_size = [{height}, {width}]: expected multiples of the patch '
                f'of {name}, {patch_h} x {patch_w}; the nearest is [{near_h}, {near_w}]'
            )
    return network


def adapt(
    network: Network, config: BackboneConfig, adapters: AdapterConfig | None = None
) -> Backbone:
    """Cut a network behind its layer, freeze it and put the adapters in."""
    layer = _layer(network, config)
    # Later layers would only cost memory; the last one keeps its norm.
    network.prune_intermediate_layers([layer], prune_norm=False, prune_head=True)
    network.requires_grad_(False)
    if adapters is None or adapters.placement == 'none':
        return _working(network, layer, config)
    if not takes_adapters(network):
        raise ConfigError(
            f'adapters.placement = {adapters.placement}: adapters need a plain ViT, '
            f'found {config.name}; use adapters.placement = none'
        )
    grid = PatchGrid(network.num_prefix_tokens)
    for index, block in enumerate(network.blocks):
        network.blocks[index] = AdaptedBlock(block, adapters, network.embed_dim, grid)
    return _working(network, layer, config, grid)


def takes_adapters(network: Network) -> bool:
    """Whether it is a plain ViT: others put their blocks together otherwise."""
    return isinstance(network, VisionTransformer) and isinstance(network.blocks[0], Block)


def _layer(network: Network, config: BackboneConfig) -> int:
    if _is_vit(network):
        num_layers = len(network.blocks)
        usual = num_layers - 1
    else:
        reductions = [info['reduction'] for info in network.feature_info]
        num_layers = len(reductions)
        usual = max((i for i, r in enumerate(reductions) if r <= 16), default=num_layers - 1)
    if config.layer >= num_layers:
        raise ConfigError(
            f'backbone.layer = {config.layer}: {config.name} has layers 0 to {num_layers - 1}'
        )
    return usual if config.layer < 0 else config.layer


def _is_vit(network: Network) -> bool:
    return hasattr(network, 'blocks') and hasattr(
        getattr(network, 'patch_embed', None), 'patch_size'
    )


def _patch_size(network: Network) -> tuple[int, int]:
    size = network.patch_embed.patch_size
    return (size, size) if isinstance(size, int) else tuple(size)


def _working(
    network: Network, layer: int, config: BackboneConfig, grid: PatchGrid | None = None
) -> Backbone:
    """The backbone, tried on one image: timm's models differ in what they accept."""
    try:
        return Backbone(network, layer, config.image_size, grid)
    except Exception as error:  # their code was not written for this, and raises anything
        height, width = config.image_size
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f'{config.name} gives no feature grid of images of {height} x {width} '
            f'({reason}); try another backbone.image_size or backbone.name'
        ) from None

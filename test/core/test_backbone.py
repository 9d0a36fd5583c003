"""Backbones and adapters: any timm ViT or CNN, any size, identity at the start."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor

from cerfevpr_core.backbone import Backbone
from cerfevpr_core.backbone.adapters import AdaptedBlock, LargeKernelAdapter, PatchGrid
from cerfevpr_core.backbone.load import adapt, create_network
from cerfevpr_core.config import AdapterConfig, BackboneConfig
from cerfevpr_core.errors import ConfigError

PLACEMENTS = ('serial_lka', 'serial_parallel_lka', 'serial_parallel_va', 'serial_va_parallel_lka')
TINY = 'vit_tiny_patch16_224'


def random_backbone(name: str, adapters: AdapterConfig | None = None, **settings: int) -> Backbone:
    """An architecture with random weights: shapes and identities do not depend on them."""
    config = BackboneConfig(name=name, **settings)  # type: ignore[arg-type]
    torch.manual_seed(0)
    return adapt(create_network(config), config, adapters)


def random_images(height: int = 64, width: int = 96, count: int = 2) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    'name', ['resnet18', 'mobilenetv3_small_100', 'regnetx_002', 'convnext_atto', 'resnet101']
)
def test_a_cnn_gives_its_map_of_stride_16_and_the_average_as_cls(name: str) -> None:
    tokens = random_backbone(name)(random_images(64, 96))
    assert tokens.patches.shape[2:] == (4, 6)
    torch.testing.assert_close(tokens.cls, tokens.patches.mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ('name', 'patch'),
    [
        (TINY, 16),
        ('vit_small_patch14_dinov2', 14),
        ('vit_small_patch14_reg4_dinov2', 14),
        ('vit_small_patch16_dinov3', 16),
        ('vit_base_patch16_siglip_224', 16),
        ('eva02_tiny_patch14_224', 14),
    ],
)
def test_a_vit_gives_cls_and_the_patch_grid_of_images_that_are_not_square(
    name: str, patch: int
) -> None:
    backbone = random_backbone(name)
    tokens = backbone(random_images(4 * patch, 5 * patch, count=1))
    assert tokens.patches.shape == (1, backbone.dim, 4, 5)
    assert tokens.cls.shape == (1, backbone.dim)


def test_the_tokens_of_a_vit_are_those_of_timm() -> None:
    backbone = random_backbone('vit_small_patch14_reg4_dinov2')
    images = random_images(56, 70)
    with torch.no_grad():
        expected = backbone.network.forward_features((images - backbone.mean) / backbone.std)
        tokens = backbone(images)
    torch.testing.assert_close(tokens.cls, expected[:, 0])
    patches = expected[:, 5:].transpose(1, 2).unflatten(2, (4, 5))  # CLS and 4 registers before
    torch.testing.assert_close(tokens.patches, patches)


@pytest.mark.parametrize('placement', PLACEMENTS)
@pytest.mark.parametrize('name', [TINY, 'vit_small_patch14_reg4_dinov2'])
def test_fresh_adapters_leave_the_backbone_as_it_is(name: str, placement: str) -> None:
    patch = 16 if name == TINY else 14
    images = random_images(4 * patch, 6 * patch)
    plain = random_backbone(name)
    adapted = random_backbone(name, AdapterConfig(placement=placement))  # type: ignore[arg-type]
    torch.testing.assert_close(adapted(images).cls, plain(images).cls)
    torch.testing.assert_close(adapted(images).patches, plain(images).patches)


@pytest.mark.parametrize('placement', PLACEMENTS)
def test_only_the_adapters_learn_and_all_of_them_do(placement: str) -> None:
    backbone = random_backbone(TINY, AdapterConfig(placement=placement))  # type: ignore[arg-type]
    for block in backbone.network.blocks:  # away from the zero start, which stops the gradient
        for adapter in (block.serial, block.before_mlp, block.parallel):
            if adapter is not None:
                torch.nn.init.normal_(adapter.up.weight, std=0.02)
    tokens = backbone(random_images())
    (tokens.cls.sum() + tokens.patches.square().sum()).backward()
    learning = {n for n, p in backbone.named_parameters() if p.requires_grad}
    assert learning
    adapters = ('.serial.', '.before_mlp.', '.parallel.')
    assert all(any(part in name for part in adapters) for name in learning)
    silent = [n for n, p in backbone.named_parameters() if p.requires_grad and p.grad is None]
    assert silent == []


def test_an_adapter_that_has_learned_changes_the_tokens() -> None:
    plain = random_backbone(TINY)
    adapted = random_backbone(TINY, AdapterConfig())
    torch.nn.init.normal_(adapted.network.blocks[0].parallel.up.weight)
    images = random_images()
    assert not torch.allclose(adapted(images).patches, plain(images).patches, atol=1e-3)


def test_cls_and_registers_bypass_the_convolutions() -> None:
    grid = PatchGrid(num_prefix_tokens=3, height=4, width=5)
    adapter = LargeKernelAdapter(16, 24, grid)
    torch.nn.init.normal_(adapter.up.weight)
    tokens = torch.randn(2, 3 + 20, 16)
    moved = tokens.clone()
    moved[:, 3:] += 1  # other patches must not reach the prefix
    torch.testing.assert_close(adapter(tokens)[:, :3], adapter(moved)[:, :3])


def test_the_convolutions_see_the_grid_as_it_lies_in_the_image() -> None:
    grid = PatchGrid(num_prefix_tokens=1, height=9, width=11)
    adapter = LargeKernelAdapter(16, 24, grid)
    torch.nn.init.normal_(adapter.up.weight)
    tokens = torch.randn(1, 1 + 99, 16)
    moved = tokens.clone()
    moved[0, 1 + 4 * 11 + 5] += 1  # row 4, column 5
    changed = (adapter(tokens) - adapter(moved))[0, 1:].abs().amax(dim=1).unflatten(
        0, (9, 11)
    ) > 1e-6
    expected = torch.zeros(9, 11, dtype=torch.bool)
    expected[1:8, 2:9] = True  # what a 7x7 kernel reaches
    assert torch.equal(changed, expected)


def test_the_parallel_adapter_is_scaled_by_s() -> None:
    block = timm.create_model(TINY).blocks[0].eval()
    grid = PatchGrid(1, 2, 2)
    halves, wholes = (
        AdaptedBlock(block, AdapterConfig(placement='serial_parallel_va', scale=s), 192, grid)
        for s in (0.5, 1.0)
    )
    wholes.load_state_dict(halves.state_dict())
    for adapted in (halves, wholes):
        assert adapted.parallel is not None
        torch.nn.init.constant_(adapted.parallel.up.bias, 1.0)
    tokens = torch.randn(1, 5, 192)
    with torch.no_grad():
        torch.testing.assert_close(halves(tokens), block(tokens) + 0.5)
        torch.testing.assert_close(wholes(tokens), block(tokens) + 1.0)


def test_a_layer_is_chosen_by_its_number_and_later_ones_are_cut_off() -> None:
    shallow = random_backbone(TINY, layer=2)
    assert len(shallow.network.blocks) == 3
    assert random_backbone('resnet18', layer=2)(random_images()).patches.shape[2:] == (8, 12)


def test_training_leaves_the_frozen_normalisation_alone() -> None:
    backbone = random_backbone('resnet18').train()
    before = backbone.network.bn1.running_mean.clone()
    backbone(random_images())
    torch.testing.assert_close(backbone.network.bn1.running_mean, before)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'name': 'vit_tiny_patch16'}, 'timm has no such model; did you mean vit_tiny_patch16'),
        (
            {'name': TINY, 'image_size': (224, 230)},
            r'expected multiples of the patch .* 16 x 16; the nearest is \[224, 224\]',
        ),
        ({'name': TINY, 'layer': 12}, 'backbone.layer = 12: .* has layers 0 to 11'),
    ],
)
def test_a_wrong_backbone_setting_says_what_to_do(
    settings: dict[str, object], message: str
) -> None:
    config = BackboneConfig(**settings)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):
        adapt(create_network(config), config)


def test_adapters_in_a_cnn_are_refused() -> None:
    with pytest.raises(ConfigError, match='adapters need a plain ViT, found resnet18'):
        random_backbone('resnet18', AdapterConfig())


def test_a_model_that_cannot_give_a_grid_is_refused_with_the_reason() -> None:
    with pytest.raises(ConfigError, match=r'cait_xxs24_224 gives no feature grid .* try another'):
        random_backbone('cait_xxs24_224')

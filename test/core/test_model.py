"""Fusion, robust encoder, training-free heads, and the model they make."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cerfevpr_core.backbone import Tokens
from cerfevpr_core.backbone.load import adapt, create_network
from cerfevpr_core.checkpoint import load_network
from cerfevpr_core.config import (
    AdapterConfig,
    BackboneConfig,
    Config,
    EncoderConfig,
    FusionConfig,
    GemConfig,
    GridConfig,
    VladConfig,
    load_config,
)
from cerfevpr_core.describer import Describer
from cerfevpr_core.encoder import RobustEncoder
from cerfevpr_core.errors import ConfigError, MapError
from cerfevpr_core.fusion import PyramidFusion
from cerfevpr_core.heads import ClsHead, GemHead, GridHead, VladHead, local_features
from cerfevpr_core.model import CerfeVPR, device_of
from cerfevpr_core.trained import SHIPPED

DIM = 16


def random_tokens(count: int = 2, height: int = 9, width: int = 7) -> Tokens:
    torch.manual_seed(0)
    return Tokens(torch.randn(count, DIM), torch.randn(count, DIM, height, width))


@pytest.mark.parametrize(
    ('levels', 'num_tokens'), [((2, 3, 4), 30), ((2, 3), 14), ((1,), 2), ((), 1)]
)
def test_fusion_gives_cls_and_every_pyramid_cell(levels: tuple[int, ...], num_tokens: int) -> None:
    fusion = PyramidFusion(FusionConfig(levels=levels), DIM)
    assert fusion.num_tokens == num_tokens
    assert fusion(random_tokens()).shape == (2, num_tokens, DIM)


def test_fusion_starts_as_plain_averages_of_the_cells() -> None:
    tokens = random_tokens(1, height=4, width=6)
    fused = PyramidFusion(FusionConfig(levels=(2,)), DIM)(tokens)
    torch.testing.assert_close(fused[:, 0], tokens.cls)
    upper_right = tokens.patches[:, :, :2, 3:].mean(dim=(2, 3))  # cells go row by row
    torch.testing.assert_close(fused[:, 2], upper_right)


def random_encoder(**settings: int) -> RobustEncoder:
    torch.manual_seed(0)
    return RobustEncoder(EncoderConfig(num_heads=4, ffn_dim=32, **settings), 5, DIM).eval()


@pytest.mark.parametrize('num_variants', [1, 2, 5])
def test_any_number_of_variants_gives_a_descriptor_of_unit_length(num_variants: int) -> None:
    encoder = random_encoder()
    descriptors = encoder(torch.randn(3, num_variants, 5, DIM))
    assert descriptors.shape == (3, 5 * DIM) == (3, encoder.descriptor_dim)
    torch.testing.assert_close(descriptors.norm(dim=1), torch.ones(3))


def test_a_descriptor_is_the_same_in_any_batch() -> None:
    encoder, fused = random_encoder(), torch.randn(6, 3, 5, DIM)
    together = encoder(fused)
    alone = torch.cat([encoder(fused[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(encoder(fused.flip(0)), together.flip(0))


def test_the_descriptor_is_of_the_last_variant_and_heeds_the_others() -> None:
    encoder, fused = random_encoder(), torch.randn(1, 3, 5, DIM)
    swapped = fused[:, [1, 0, 2]]  # attention without positions: the order of the others is free
    torch.testing.assert_close(encoder(swapped), encoder(fused))
    changed = fused.clone()
    changed[:, 0] = torch.randn(5, DIM)
    assert not torch.allclose(encoder(changed), encoder(fused), atol=1e-3)
    rotated = fused[:, [2, 0, 1]]
    assert not torch.allclose(encoder(rotated), encoder(fused), atol=1e-3)


def test_a_pyramid_position_never_sees_another_one() -> None:
    encoder, fused = random_encoder(), torch.randn(1, 3, 5, DIM)
    changed = fused.clone()
    changed[:, :, 4] = torch.randn(DIM)
    before, after = (encoder.layers[0](f.transpose(1, 2).flatten(0, 1)) for f in (fused, changed))
    torch.testing.assert_close(before[:4], after[:4])
    assert not torch.allclose(before[4], after[4], atol=1e-3)


def test_the_projection_mixes_tokens_and_shrinks_them() -> None:
    encoder = random_encoder(num_tokens=3, token_dim=8)
    assert encoder.descriptor_dim == 24
    assert encoder(torch.randn(2, 1, 5, DIM)).shape == (2, 24)


def test_without_layers_the_encoder_only_projects() -> None:
    fused = torch.randn(2, 3, 5, DIM)
    encoder = random_encoder(num_layers=0)
    expected = F.normalize(fused[:, -1].transpose(1, 2).flatten(1), dim=1)
    torch.testing.assert_close(encoder(fused), expected)


def test_heads_that_do_not_divide_the_token_size_are_refused() -> None:
    with pytest.raises(ConfigError, match=r'encoder.num_heads = 5: expected a divisor .* 16'):
        RobustEncoder(EncoderConfig(num_heads=5), 5, DIM)


def random_model(adapters: AdapterConfig | None = None) -> CerfeVPR:
    torch.manual_seed(0)
    config = Config(
        backbone=BackboneConfig(name='vit_tiny_patch16_224', layer=2),
        encoder=EncoderConfig(num_heads=8, ffn_dim=64),
    )
    backbone = adapt(create_network(config.backbone), config.backbone, adapters)
    torch.manual_seed(1)  # the same encoder, whether or not adapters were drawn before it
    return CerfeVPR(backbone, config).eval()


@torch.inference_mode()
def test_the_whole_model_is_the_same_in_any_batch_and_for_fresh_adapters() -> None:
    variants = torch.rand(3, 2, 3, 64, 80)
    model = random_model()
    together = model(variants)
    assert together.shape == (3, model.descriptor_dim) == (3, 30 * 192)
    torch.testing.assert_close(together, torch.cat([model(v[None]) for v in variants]))
    torch.testing.assert_close(random_model(AdapterConfig())(variants), together)


@pytest.mark.slow
def test_the_papers_configuration_has_its_shapes_on_the_real_architecture() -> None:
    config = load_config(Path(__file__).parents[2] / 'config' / 'paper.yaml')
    architecture = replace(config.backbone, name='vit_base_patch14_dinov2')  # without weights
    backbone = adapt(create_network(architecture), architecture, config.adapters)
    model = CerfeVPR(backbone, config).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 1, 3, 56, 56)).shape == (1, 10752)
    tunable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert tunable == pytest.approx(21.2e6, abs=0.2e6)
    everything = sum(p.numel() for p in model.parameters())
    assert everything == pytest.approx(107.3e6, abs=0.4e6)


def naive_vlad(features: Tensor, words: Tensor) -> Tensor:
    rows = torch.zeros_like(words)
    for feature in features:
        nearest = (words - feature).norm(dim=1).argmin()
        rows[nearest] += feature - words[nearest]
    rows = torch.stack([row / row.norm() if row.norm() > 0 else row for row in rows])
    return rows.flatten() / rows.norm()


def test_vlad_equals_a_plain_loop() -> None:
    tokens = random_tokens()
    head = VladHead(VladConfig(num_clusters=4), DIM)
    features = local_features(tokens)
    head.fit(features.flatten(0, 1).numpy())
    found = head(tokens)
    for row, image_features in zip(found, features, strict=True):
        torch.testing.assert_close(row, naive_vlad(image_features, head.vocabulary))


def test_the_vocabulary_depends_on_its_seed_alone() -> None:
    features = local_features(random_tokens(8)).flatten(0, 1).numpy()

    def vocabulary(seed: int) -> Tensor:
        head = VladHead(VladConfig(num_clusters=4, num_features=100, seed=seed), DIM)
        head.fit(features)
        return head.vocabulary

    torch.testing.assert_close(vocabulary(1), vocabulary(1))
    assert not torch.allclose(vocabulary(1), vocabulary(2))


def test_too_few_features_for_a_vocabulary_say_what_to_do() -> None:
    with pytest.raises(MapError, match=r'3 local features, fewer than vlad.num_clusters = 4; add'):
        VladHead(VladConfig(num_clusters=4), DIM).fit(np.zeros((3, DIM), np.float32))


def test_a_vocabulary_of_another_shape_is_refused() -> None:
    with pytest.raises(MapError, match=r'a vocabulary of \(3, 16\), expected \(4, 16\)'):
        VladHead(VladConfig(num_clusters=4), DIM).load_vocabulary(np.zeros((3, DIM), np.float32))


def test_gem_is_the_mean_at_p_1_and_nears_the_maximum_for_large_p() -> None:
    tokens = Tokens(torch.zeros(1, 2), torch.tensor([[[[1.0, 3.0]], [[2.0, 2.0]]]]))
    mean = GemHead(GemConfig(p=1))(tokens)
    torch.testing.assert_close(mean, torch.tensor([[2.0, 2.0]]) / math.sqrt(8))
    peak = GemHead(GemConfig(p=60))(tokens)
    torch.testing.assert_close(peak, F.normalize(torch.tensor([[3.0, 2.0]])), atol=0.02, rtol=0)


def test_grid_keeps_where_things_are_and_cls_does_not() -> None:
    tokens = random_tokens()
    mirrored = Tokens(tokens.cls, tokens.patches.flip(3))
    grid, cls = GridHead(GridConfig(num_cells=3)), ClsHead()
    assert grid(tokens).shape == (2, 9 * DIM)
    assert not torch.allclose(grid(tokens), grid(mirrored), atol=1e-3)
    torch.testing.assert_close(cls(tokens), cls(mirrored))


def test_the_descriptor_that_ships_is_small_and_says_how_it_came_about() -> None:
    assert SHIPPED.stat().st_size < 3e6
    shipped = load_network(SHIPPED)
    assert {'data', 'command', 'hours', 'terms'} <= shipped.notes.keys()
    assert all(value.dtype == torch.float16 for value in shipped.state.values())


def test_other_settings_than_the_shipped_descriptors_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r'encoder.num_heads is 2, the file has 8; leave th.*vlad'
    ):
        Describer(load_config(assignments=['method=cerfevpr', 'encoder.num_heads=2']))


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r'runtime.device = nonsense: .*; use auto or cpu'):
        device_of(load_config(assignments=['runtime.device=nonsense']))

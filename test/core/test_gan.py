"""Generators, discriminators, what they minimise, and the pool of earlier images."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from samples import picture

from cerfevpr_core.config import GanConfig
from cerfevpr_core.gan.cycle_gan import CycleGan
from cerfevpr_core.gan.detail import detail_loss, order_loss
from cerfevpr_core.gan.discriminator import PatchDiscriminator
from cerfevpr_core.gan.generator import Generator
from cerfevpr_core.gan.image_pool import ImagePool
from cerfevpr_core.gan.objective import (
    adversarial_loss,
    cycle_loss,
    discriminator_loss,
    identity_loss,
)
from cerfevpr_core.images import to_tensor

TINY = GanConfig(num_filters=4, num_blocks=1, discriminator_filters=4, crop_px=32, pool_size=2)


def images(count: int = 1, height: int = 64, width: int = 64) -> torch.Tensor:
    """(B, 3, H, W)."""
    return torch.stack([to_tensor(picture(seed), (height, width)) for seed in range(count)])


@pytest.mark.parametrize('size', [(64, 64), (33, 47), (101, 40), (5, 9)])
def test_an_untrained_generator_gives_its_input_back(size: tuple[int, int]) -> None:
    before = images(2, *size)
    after = Generator(4, 1)(before)
    assert torch.equal((255 * after).round(), (255 * before).round())


def test_a_trained_generator_keeps_size_and_range() -> None:
    generator = changed(Generator(4, 2))
    for size in ((64, 64), (33, 47), (101, 40)):
        after = generator(images(1, *size))
        assert after.shape == (1, 3, *size)
        assert after.min() >= 0 and after.max() <= 1
        assert (after - images(1, *size)).abs().max() > 0.01


def test_an_image_is_translated_the_same_in_any_batch() -> None:
    generator = changed(Generator(4, 2)).eval()
    batch = images(3)
    together = generator(batch)
    alone = torch.cat([generator(image[None]) for image in batch])
    assert torch.allclose(together, alone, atol=1e-5)


def test_a_discriminator_answers_for_each_patch() -> None:
    (logits,) = PatchDiscriminator(4)(images(2, 96, 64))
    assert logits.shape == (2, 1, 10, 6)


def test_cross_entropy_is_eq_2_with_its_sign_turned() -> None:
    real, generated = torch.tensor([[0.3]]), torch.tensor([[-1.2]])  # logits of D(n), D(G(m))
    d_real, d_generated = (1 / (1 + math.exp(-x)) for x in (0.3, -1.2))
    eq_2 = math.log(d_real) + math.log(1 - d_generated)
    assert discriminator_loss('cross_entropy', [real], [generated]) == pytest.approx(-eq_2)
    fooling = adversarial_loss('cross_entropy', [generated])
    assert fooling == pytest.approx(-math.log(d_generated))


def test_least_squares_wants_ones_for_real_and_zeros_for_generated() -> None:
    real, generated = torch.tensor([[0.5, 1.0]]), torch.tensor([[2.0, 0.0]])
    assert discriminator_loss('least_squares', [real], [generated]) == pytest.approx(0.125 + 2)
    assert adversarial_loss('least_squares', [generated]) == pytest.approx(1.0)


def test_every_map_of_logits_counts_alike_however_large() -> None:
    small, large = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 8, 8)
    assert adversarial_loss('least_squares', [small, large]) == pytest.approx(0.5)


def test_the_cycle_loss_is_eq_3_over_both_ways_round() -> None:
    m, n = torch.full((1, 3, 2, 2), 0.25), torch.full((1, 3, 2, 2), 0.5)
    assert cycle_loss(m, m + 0.1, n, n - 0.3) == pytest.approx(0.4)
    assert identity_loss(m, m, n, n + 0.2) == pytest.approx(0.2)


def test_the_detail_loss_lets_brightness_and_contrast_change_but_not_edges() -> None:
    columns = torch.arange(64) % 8 < 3
    before = torch.where(columns, 0.9, 0.1).expand(1, 3, 64, 64)  # stripes
    assert detail_loss(before, before) == pytest.approx(0, abs=0.02)
    assert detail_loss(before, 0.5 * before + 0.25) == pytest.approx(0, abs=0.02)
    assert detail_loss(before, 0.002 * before) > 0.4  # next to nothing is left
    assert detail_loss(before, 0 * before) == pytest.approx(1, abs=0.05)  # all is lost
    assert detail_loss(before, 1 - before) == pytest.approx(2, abs=0.1)  # all is turned round
    assert detail_loss(before, before.roll(4, dims=3)) > 1  # another place
    assert detail_loss(0 * before, before) == 0  # there was nothing to lose


def test_the_order_loss_lets_light_change_but_not_what_is_brighter() -> None:
    before = images(1)
    assert order_loss(before, before) == pytest.approx(0, abs=0.02)
    assert order_loss(before, 0.3 * before) == pytest.approx(0, abs=0.02)  # darker
    assert order_loss(before, before**2) < 0.1  # with other contrast
    assert order_loss(before, 1 - before) > 1  # turned round
    assert order_loss(before, 0 * before) > 0.1  # nothing is brighter than anything
    assert order_loss(before, before.roll(16, dims=3)) > 0.3  # another place
    assert order_loss(0 * before, before) == 0  # there was nothing to turn round


def test_the_order_loss_sees_a_slope_that_turns_beside_detail() -> None:
    """As where the sky, brighter than the house before it, becomes black."""
    stripes = torch.where(torch.arange(64) % 8 < 3, 0.2, 0.0).expand(1, 3, 64, 64)
    slope = torch.linspace(0, 0.5, 64)[:, None].expand(64, 64)
    kept = order_loss(stripes + slope, stripes + 0.5 * slope)
    assert order_loss(stripes + slope, stripes + slope.flip(0)) > 3 * kept + 0.1


def test_the_second_terms_are_not_those_the_paper_misprints() -> None:
    """G(F(n)) and D_M(F(n)): with an F that fails on n alone, both must say so."""
    gan = CycleGan(TINY)
    m, n = images(1, 32, 32), 1 - images(1, 32, 32)
    gan.to_m.forward = lambda batch: batch if torch.equal(batch, m) else 0 * batch  # F
    losses, as_m, as_n = gan.generators_losses(m, n)
    assert torch.equal(as_m, torch.zeros_like(n))
    assert torch.equal((255 * as_n).round(), (255 * m).round())
    assert losses['cycle'] > TINY.cycle_weight * 0.4  # of n -> 0 -> 0, at the least


def test_the_weights_of_eq_1_scale_their_parts() -> None:
    torch.manual_seed(0)
    m, n = images(1, 32, 32), 1 - images(1, 32, 32)
    heavy = GanConfig(**{**vars(TINY), 'cycle_weight': 20.0, 'adversarial_weight': 3.0})
    light, other = changed(CycleGan(TINY)), CycleGan(heavy)
    other.load_state_dict(light.state_dict())
    a, b = light.generators_losses(m, n)[0], other.generators_losses(m, n)[0]
    assert b['cycle'].item() == pytest.approx(2 * a['cycle'].item())
    assert b['adversarial'].item() == pytest.approx(3 * a['adversarial'].item())
    assert b['identity'].item() == pytest.approx(a['identity'].item())
    assert 'detail' not in a and 'order' not in a  # by default
    heavy = GanConfig(**{**vars(TINY), 'detail_weight': 2.0, 'order_weight': 5.0})
    light.config = heavy
    c, as_m, as_n = light.generators_losses(m, n)
    assert c['detail'].item() == pytest.approx(
        2 * (detail_loss(m, as_n) + detail_loss(n, as_m)).item()
    )
    assert c['order'].item() == pytest.approx(
        5 * (order_loss(m, as_n) + order_loss(n, as_m)).item()
    )


def test_discriminators_teach_generators_but_do_not_learn_from_their_step() -> None:
    gan = CycleGan(TINY)
    losses, as_m, as_n = gan.generators_losses(images(1, 32, 32), 1 - images(1, 32, 32))
    sum(losses.values()).backward()
    assert all(p.grad is None for p in gan.discriminator_parameters())
    assert any(p.grad is not None and p.grad.any() for p in gan.to_n.parameters())
    assert not as_m.requires_grad and not as_n.requires_grad


@pytest.mark.parametrize('kind', ['features', 'both'])
def test_feature_discriminators_share_one_frozen_network_that_is_not_saved(kind: str) -> None:
    config = GanConfig(**{**vars(TINY), 'discriminator': kind, 'contrast': 0.5})
    gan = CycleGan(config)
    gan.calibrate(torch.cat([images(2), 1 - images(2)]))
    losses, as_m, as_n = gan.generators_losses(images(1), 1 - images(1))
    rng = np.random.default_rng(0)
    judged = gan.discriminators_loss(images(1), 1 - images(1), as_m, as_n, rng)
    judged.backward()
    assert torch.isfinite(judged) and torch.isfinite(losses['adversarial'])
    assert all(p.grad is not None for p in gan.discriminator_parameters())
    assert not any('network' in name for name in gan.state_dict())


def test_a_pool_fills_up_first_and_then_mixes_old_with_new() -> None:
    pool, rng = ImagePool(2), np.random.default_rng(0)
    given = [torch.full((1, 3, 1, 1), float(i)) for i in range(40)]
    out = [pool.exchange(image, rng).flatten()[0].item() for image in given]
    assert out[:2] == [0, 1]
    older = [got < sent for sent, got in enumerate(out)]
    assert 5 < sum(older[2:]) < 33
    assert len(pool.images) == 2
    assert len(set(out[2:])) == len(out) - 2  # what was kept goes out once


def test_a_pool_of_size_zero_passes_everything_on() -> None:
    batch = images(2)
    assert torch.equal(ImagePool(0).exchange(batch, np.random.default_rng(0)), batch)


def changed(network: torch.nn.Module) -> torch.nn.Module:
    """As after some training: no parameter is where it started."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network

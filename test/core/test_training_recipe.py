"""Visual words, what a training starts from, and the parts of the recipe that ships."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from samples import dotted, fitted_settings, picture
from torch import Tensor, nn

from cerfevpr_core.backbone import Tokens
from cerfevpr_core.changed_images.weather import cast_shadows, change_to_night, change_to_snow
from cerfevpr_core.config import EncoderConfig, FusionConfig, TrainConfig, load_config
from cerfevpr_core.data.places import Place
from cerfevpr_core.encoder import RobustEncoder
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.fusion import PyramidFusion, word_residuals
from cerfevpr_core.model import CerfeVPR, new_model
from cerfevpr_core.training.batches import Batches
from cerfevpr_core.training.begin import tune_backbone
from cerfevpr_core.training.objective import Targets, WithTeacher
from cerfevpr_core.training.start import fit_start

DIM = 16


def random_tokens(batch: int = 2, height: int = 5, width: int = 7) -> Tokens:
    torch.manual_seed(0)
    return Tokens(torch.randn(batch, DIM), torch.randn(batch, DIM, height, width))


def test_word_residuals_equal_a_plain_loop() -> None:
    patches, words = random_tokens().patches, F.normalize(torch.randn(3, DIM), dim=1)
    for found, image in zip(word_residuals(patches, words), patches, strict=True):
        expected = torch.zeros(3, DIM)
        for patch in image.flatten(1).T:
            feature = F.normalize(patch, dim=0)
            nearest = (words - feature).norm(dim=1).argmin()
            expected[nearest] += feature - words[nearest]
        torch.testing.assert_close(found, expected)


def test_words_do_not_care_where_things_are_and_cells_do() -> None:
    fusion = PyramidFusion(FusionConfig(levels=(2,), num_words=3), DIM)
    tokens = random_tokens(1)
    mirrored = Tokens(tokens.cls, tokens.patches.flip(3))
    there, here = fusion(tokens), fusion(mirrored)
    assert there.shape == (1, fusion.num_tokens, DIM) == (1, 1 + 4 + 3, DIM)
    torch.testing.assert_close(there[:, fusion.num_cells :], here[:, fusion.num_cells :])
    assert not torch.allclose(there[:, 1 : fusion.num_cells], here[:, 1 : fusion.num_cells])


def test_unit_tokens_all_have_length_one() -> None:
    fusion = PyramidFusion(FusionConfig(levels=(2,), num_words=3, unit_tokens=True), DIM)
    lengths = fusion(random_tokens()).norm(dim=2)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_silenced_layers_leave_the_tokens_as_they_are() -> None:
    torch.manual_seed(0)
    config = EncoderConfig(num_layers=2, num_heads=4, ffn_dim=32)
    encoder = RobustEncoder(config, 5, DIM).eval()
    encoder.start_as_identity()
    fused = torch.randn(3, 2, 5, DIM)
    expected = F.normalize(fused[:, -1].transpose(1, 2).flatten(1), dim=1)
    torch.testing.assert_close(encoder(fused), expected)


@pytest.fixture
def fresh(weights):
    """A model with words on the tiny network, before anything is fitted."""

    def make(**more: object) -> CerfeVPR:
        torch.manual_seed(0)
        named = fitted_settings(weights) | dotted(more)
        return new_model(load_config(overrides=named)).eval()

    return make


def images(count: int = 12) -> list[Tensor]:
    return [
        torch.from_numpy(picture(n, 64, 96)).permute(2, 0, 1).float() / 255 for n in range(count)
    ]


def test_the_words_start_among_the_patches_that_the_backbone_sees(fresh) -> None:
    model = fresh()
    fit_start(model, images(), seed=0)
    with torch.inference_mode():
        patches = torch.cat([model.backbone(image[None]).patches for image in images()])
    features = F.normalize(patches.flatten(2).transpose(1, 2).flatten(0, 1), dim=1)
    nearest = torch.cdist(features, model.fusion.words).min(dim=1).values
    random = torch.cdist(features, fresh().fusion.words).min(dim=1).values
    assert nearest.mean() < 0.7 * random.mean()


def test_the_same_images_give_the_same_start(fresh) -> None:
    models = [fresh(), fresh()]
    for model in models:
        fit_start(model, images(), seed=0)
    one, other = (model.state_dict() for model in models)
    assert all(torch.equal(other[name], value) for name, value in one.items())


def test_more_words_than_patches_are_refused(fresh) -> None:
    model = fresh(fusion__num_words=400)
    with pytest.raises(ConfigError, match=r'num_words = 400: the places give .* add images'):
        fit_start(model, images(1), seed=0)


def test_the_teacher_counts_what_other_places_are_unlike_it() -> None:
    def unit(degrees: float) -> list[float]:
        return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]

    teacher = torch.tensor([unit(0), unit(60), unit(90), unit(0)])
    objective = WithTeacher(lambda found, targets: found.sum() * 0 + 1, teacher, weight=2.0)
    targets = Targets(torch.tensor([0, 0, 1]), torch.tensor([3, 0, 2]))  # places, image numbers
    same = objective(torch.tensor([unit(0), unit(0), unit(90)]), targets)
    torch.testing.assert_close(same, torch.tensor(1.0))
    # Images of different places at 60 degrees where the teacher has 90: off by 0.5, both ways.
    nearer = objective(torch.tensor([unit(0), unit(0), unit(60)]), targets)
    torch.testing.assert_close(nearer, torch.tensor(1.0 + 2.0 * 0.25))


def test_each_source_has_its_share_of_every_batch(tmp_path) -> None:
    places = [
        Place(f'{source}{n}', (tmp_path / 'x.jpg',), source=source)
        for source, count in (('0', 40), ('1', 5))
        for n in range(count)
    ]
    config = TrainConfig(num_places=8, images_per_place=2, steps_per_epoch=6)
    batches = Batches(places, config, shares={'0': 3.0, '1': 1.0})
    drawn = [sample.place for batch in batches.epoch(0) for sample in batch]
    for step in range(6):
        chosen = set(drawn[16 * step : 16 * (step + 1)])
        assert sum(place < 40 for place in chosen) == 6
        assert sum(place >= 40 for place in chosen) == 2
    assert len({place for place in drawn if place < 40}) == 36  # each once before any twice


@pytest.mark.parametrize('change', [change_to_night, change_to_snow, cast_shadows])
def test_weather_keeps_sizes_and_range_and_follows_its_seed(change) -> None:
    image = torch.from_numpy(picture(3, 40, 56)).permute(2, 0, 1)[None].float() / 255
    for seed in range(8):
        changed = change(image, np.random.default_rng(seed))
        assert changed.shape == image.shape
        assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
        torch.testing.assert_close(changed, change(image, np.random.default_rng(seed)))
    assert not torch.equal(changed, image)


def test_more_tuned_stages_than_the_backbone_has_are_refused(fresh) -> None:
    model = fresh()
    with pytest.raises(ConfigError, match=r'train.num_tuned = 9: the backbone has'):
        tune_backbone(model.backbone.network, 9)


def test_tuning_nothing_leaves_the_backbone_frozen(fresh) -> None:
    network = fresh().backbone.network
    tune_backbone(network, 0)
    assert not any(p.requires_grad for p in network.parameters())


def test_tuned_stages_are_the_last_ones() -> None:
    network = nn.Module()
    network.blocks = nn.ModuleList(nn.Linear(2, 2) for _ in range(4)).requires_grad_(False)
    tune_backbone(network, 2)
    tuned = [block.weight.requires_grad for block in network.blocks]
    assert tuned == [False, False, True, True]


@pytest.mark.parametrize('recipe', ['cerfevpr', 'paper'])
def test_the_recipes_are_settings_that_exist(recipe: str) -> None:
    config = load_config(Path(__file__).parents[2] / 'config' / f'{recipe}.yaml')
    fusion = PyramidFusion(config.fusion, 48)
    encoder = replace(config.encoder, num_layers=0)
    found = RobustEncoder(encoder, fusion.num_tokens, 48, fusion.num_cells).descriptor_dim
    assert found == {'cerfevpr': 1024, 'paper': 10752}[recipe]

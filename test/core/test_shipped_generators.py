"""The generators that come with the package: they load, translate any image, and do it well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from samples import picture

from cerfevpr_core.checkpoint import load_network
from cerfevpr_core.config import VariantsConfig
from cerfevpr_core.evaluation.domain_classifiers import logistic
from cerfevpr_core.evaluation.keypoint_matches import dimmed, matches_kept, num_matches
from cerfevpr_core.gan.condition import SHIPPED, conditions, generator_file, load_generator
from cerfevpr_core.images import list_images, read_image, to_tensor
from cerfevpr_core.variants import VariantMaker

PAIRS = {'yosemite_summer_winter': ('summer', 'winter'), 'bdd_day_night': ('day', 'night')}
SIZE = (224, 224)


def test_four_small_generators_ship() -> None:
    assert conditions() == ('day', 'night', 'summer', 'winter')
    assert sum(f.stat().st_size for f in SHIPPED.glob('*.safetensors')) < 3.2e6


@pytest.mark.parametrize('condition', ['summer', 'winter', 'day', 'night'])
def test_a_shipped_generator_says_what_made_it(condition: str) -> None:
    saved = load_network(generator_file(condition))
    assert saved.settings['condition'] == condition
    assert saved.notes['steps'] > 0 and saved.notes['hours'] > 0
    assert 'cerfevpr train gan' in saved.notes['command']


@pytest.mark.parametrize('condition', ['summer', 'winter', 'day', 'night'])
@pytest.mark.parametrize('size', [(224, 224), (97, 161), (240, 33), (32, 32)])
def test_a_shipped_generator_translates_any_size(condition: str, size: tuple[int, int]) -> None:
    image = to_tensor(picture(0), size)[None]
    after = load_generator(generator_file(condition))(image)
    assert after.shape == image.shape
    assert torch.isfinite(after).all() and after.min() >= 0 and after.max() <= 1
    assert (after - image).abs().mean() > 1 / 255


def test_all_shipped_conditions_make_one_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('CERFEVPR_CACHE', str(tmp_path))
    stack = VariantMaker(VariantsConfig(conditions()), (65, 97)).stack(picture(0))
    assert stack.shape == (5, 3, 65, 97)
    assert stack[1].mean() < stack[0].mean()  # night is darker than day


@pytest.mark.parametrize('kind', ['orb', 'sift'])
def test_matches_are_those_that_stay_in_place(kind: str) -> None:
    rng = np.random.default_rng(0)
    image = np.repeat(np.repeat(rng.integers(0, 256, (28, 28, 3), np.uint8), 8, 0), 8, 1)
    assert num_matches(image, image, kind) > 20
    assert num_matches(image, dimmed(image), kind) > 10
    moved = np.roll(image, 8, axis=1)
    assert num_matches(image, moved, kind) < 0.1 * num_matches(image, image, kind)
    assert num_matches(image, np.zeros_like(image), kind) == 0


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize('name', list(PAIRS))
def test_translations_pass_for_real_and_keep_the_place(name: str, data: Path) -> None:
    """On images that neither the generators nor this classifier were trained on."""
    root = data / 'unpaired_seasons' / name
    classify, translate = zip(parts(root, 'A'), parts(root, 'B'), strict=True)
    accepts = logistic('lite2', classify)
    for target, condition in enumerate(PAIRS[name]):
        source = translate[1 - target]
        generator = load_generator(generator_file(condition))
        with torch.inference_mode():
            translated = torch.cat([generator(image[None]) for image in source])
        assert (accepts(translated) == bool(target)).mean() >= 0.7
        for kind in ('orb', 'sift'):
            counts = [
                matches_kept(pixels(a), pixels(b), kind)
                for a, b in zip(source, translated, strict=True)
            ]
            kept, of = np.sum(counts, axis=0)
            assert kept >= 0.3 * of


def parts(root: Path, letter: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Of one domain, images for the classifier and images to translate (tools/season_split.py)."""
    if (root / f'test{letter}').is_dir():
        classify = list_images(root / f'train{letter}')[3::5]
        translate = list_images(root / f'test{letter}')
    else:
        files = list_images(root / f'train_{letter}')
        classify, translate = files[700:900], files[900:]
    return read(classify), read(translate)


def read(files: list[Path]) -> torch.Tensor:
    return torch.stack([to_tensor(read_image(file), SIZE) for file in files])


def pixels(image: torch.Tensor) -> np.ndarray:
    return (image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()

"""Variants of an image: which, in what order, how they are cached, and where they go in a map."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from samples import picture, tiny_config, write_generator, write_pictures

from cerfevpr_core.backbone import Tokens
from cerfevpr_core.checkpoint import save_network
from cerfevpr_core.cli import main
from cerfevpr_core.config import VariantsConfig
from cerfevpr_core.data.frames import FolderFrames
from cerfevpr_core.describer import Describer
from cerfevpr_core.errors import ConfigError, ImageError, WeightsError
from cerfevpr_core.images import to_tensor
from cerfevpr_core.mapping import build_map
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.variants import VariantMaker

SIZE = (64, 96)
SETTINGS = {'gan.num_filters': 4, 'gan.num_blocks': 1}


@pytest.fixture(autouse=True)
def cache(cache: Path) -> Path:
    """Where the variants are cached."""
    return cache / 'variants'


def maker(generators: str, *conditions: str) -> VariantMaker:
    return VariantMaker(VariantsConfig(conditions=conditions, generators=generators), SIZE)


def test_without_conditions_the_original_is_alone() -> None:
    stack = VariantMaker(VariantsConfig(), SIZE).stack(picture(0))
    assert torch.equal(stack, to_tensor(picture(0), SIZE)[None])


def test_variants_come_in_the_order_of_the_conditions_and_the_original_last(
    generators: str,
) -> None:
    stack = maker(generators, 'snow', 'night').stack(picture(0))
    assert stack.shape == (3, 3, *SIZE)
    snow, night, original = (each.mean() for each in stack)
    assert night < original - 0.1 < snow - 0.2
    assert torch.equal(stack[-1], to_tensor(picture(0), SIZE))


def test_a_variant_is_made_once_and_the_same_from_the_cache(
    generators: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = maker(generators, 'night').stack(picture(0))
    assert len(list(cache.glob('*.png'))) == 1
    monkeypatch.setattr(VariantMaker, '_make', None)  # must not be called
    assert torch.equal(maker(generators, 'night').stack(picture(0)), first)


def test_another_image_size_or_generator_is_another_variant(generators: str, cache: Path) -> None:
    maker(generators, 'night').stack(picture(0))
    maker(generators, 'night').stack(picture(1))
    VariantMaker(VariantsConfig(('night',), generators=generators), (32, 32)).stack(picture(0))
    before = maker(generators, 'night').stack(picture(2))
    write_generator(Path(generators) / 'night.safetensors', -1.0)
    after = maker(generators, 'night').stack(picture(2))
    assert len(list(cache.glob('*.png'))) == 5
    assert not torch.equal(before[0], after[0])


def test_a_damaged_cache_file_is_made_anew(
    generators: str, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = maker(generators, 'night').stack(picture(0))
    (file,) = cache.glob('*.png')
    file.write_bytes(file.read_bytes()[:100])
    with caplog.at_level(logging.WARNING):
        assert torch.equal(maker(generators, 'night').stack(picture(0)), first)
    assert 'made anew' in caplog.text and file.name in caplog.text


def test_writers_at_the_same_time_do_not_disturb_one_another(generators: str, cache: Path) -> None:
    makers = [maker(generators, 'night', 'snow') for _ in range(4)]
    expected = maker(generators, 'night', 'snow').stack(picture(0))
    for file in cache.glob('*.png'):
        file.unlink()
    with ThreadPoolExecutor(4) as pool:
        stacks = list(pool.map(lambda each: each.stack(picture(0)), makers))
    assert all(torch.equal(stack, expected) for stack in stacks)
    assert not list(cache.glob('*.part'))


def test_a_cache_that_cannot_be_written_costs_a_warning_only(
    generators: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('CERFEVPR_CACHE', str(tmp_path / 'file'))
    with caplog.at_level(logging.WARNING):
        assert maker(generators, 'night').stack(picture(0)).shape == (2, 3, *SIZE)
    assert 'variants are not cached' in caplog.text


def test_an_unknown_condition_is_refused_at_once_and_says_which_there_are(
    generators: str, tmp_path: Path
) -> None:
    with pytest.raises(
        ConfigError, match=r"has 'fog', for which there is no .*; there are night, "
    ):
        maker(generators, 'fog')
    with pytest.raises(ConfigError, match='each condition once'):
        maker(generators, 'night', 'night')
    with pytest.raises(ConfigError, match='no generators in'):
        maker(str(tmp_path / 'nowhere'), 'night')


def test_a_file_that_holds_no_generator_is_refused(generators: str) -> None:
    file = Path(generators) / 'night.safetensors'
    save_network(file, {'a': torch.zeros(1)}, SETTINGS)
    with pytest.raises(WeightsError, match='holds no generator of this version'):
        maker(generators, 'night').stack(picture(0))
    save_network(file, {'a': torch.zeros(1)}, {})
    with pytest.raises(WeightsError, match='holds no generator of this version'):
        maker(generators, 'night').stack(picture(0))
    file.write_bytes(b'damaged')
    with pytest.raises(WeightsError, match='cannot be read as safetensors'):
        maker(generators, 'night').stack(picture(0))


def test_a_bad_image_is_an_image_error(generators: str) -> None:
    with pytest.raises(ImageError):
        maker(generators, 'night').stack(np.zeros((0, 4, 3), np.uint8))


def test_a_map_image_owns_a_descriptor_for_each_variant_and_the_best_counts(
    generators: str, weights: Path, tmp_path: Path
) -> None:
    more = {'variants__conditions': ['night', 'snow'], 'variants__generators': generators}
    config = tiny_config(weights, 'gem', **more)
    images = write_pictures(tmp_path / 'images', range(3))
    build_map(FolderFrames(images), tmp_path / 'map', config)
    describer = Describer(config)
    with PlaceMap.open(tmp_path / 'map') as place_map:
        owners, _ = place_map.store.vectors()
        assert np.unique(owners, return_counts=True)[1].tolist() == [3, 3, 3]
        night = describer.variants.stack(picture(1))[0]
        query = (night * 255).round().byte().permute(1, 2, 0).numpy()
        best = place_map.search(describer.describe(query), 3)
    assert best[0].name == '001.png'
    assert best[0].similarity == pytest.approx(1, abs=1e-4)


def test_queries_have_no_variants_unless_asked_for(
    generators: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {'variants__conditions': ['night'], 'variants__generators': generators}
    describer = Describer(tiny_config(weights, 'gem', **more))
    plain = Describer(tiny_config(weights, 'gem'))
    assert describer.fingerprint == plain.fingerprint
    assert np.array_equal(describer.describe(picture(0)), plain.describe(picture(0)))
    assert 'generators' not in vars(describer.variants)  # not even loaded


@pytest.mark.parametrize('at_query', [False, True])
def test_a_model_that_joins_variants_gets_them_in_one_stack(
    at_query: bool, generators: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {'variants__conditions': ['night', 'snow'], 'variants__generators': generators}
    describer = Describer(tiny_config(weights, 'gem', variants__at_query=at_query, **more))
    seen: list[int] = []

    def joining(tokens: Tokens, num_variants: int) -> torch.Tensor:
        seen.append(num_variants)
        return tokens.cls.unflatten(0, (-1, num_variants)).mean(dim=1)[:, :3]

    monkeypatch.setattr(Describer, 'joins_variants', True)
    monkeypatch.setattr(describer.model, 'describe', joining)
    assert describer.see_keyframe(picture(0)).descriptors.shape == (1, 3)
    assert describer.describe(picture(0)).shape == (3,)
    assert seen == [3, 3 if at_query else 1]


def test_the_command_shows_an_image_in_its_own_size(
    generators: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / 'image.png'
    PilImage.fromarray(picture(0, 61, 83)).save(image)
    folder = ['--set', f'variants.generators={generators}']
    out = tmp_path / 'new' / 'sheet.jpg'
    assert main(['variants', str(image), '--out', str(out), *folder]) == 0
    assert PilImage.open(out).size == (3 * 83 + 2 * 4, 61 + 16)
    one = ['--set', 'variants.conditions=[snow]']
    assert main(['variants', str(image), '--out', str(out), *folder, *one]) == 0
    assert PilImage.open(out).size == (2 * 83 + 4, 61 + 16)
    capsys.readouterr()
    assert main(['variants', str(image), '--out', str(tmp_path / 'x.gif'), *folder]) == 2
    assert 'expected a name that ends in jpg or png' in capsys.readouterr().err
    assert main(['variants', str(tmp_path / 'no.png'), '--out', str(out), *folder]) == 2
    assert 'cannot read' in capsys.readouterr().err

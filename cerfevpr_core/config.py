"""Every setting: one typed tree with defaults, filled from YAML, `--set` and ROS parameters."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

import yaml
from pydantic import AfterValidator, ConfigDict, Field, Strict, ValidationError
from pydantic.dataclasses import dataclass

from cerfevpr_core.errors import ConfigError

_STRICT = ConfigDict(extra='forbid', strict=True, allow_inf_nan=False)
_Count = Annotated[int, Field(ge=1)]

Method = Literal['cerfevpr', 'cls', 'gem', 'grid', 'vlad']
TRAINING_FREE: tuple[Method, ...] = ('cls', 'gem', 'grid', 'vlad')


def _some_positive(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if not sizes or min(sizes) < 1:
        raise ValueError('expected one or more whole numbers from 1')
    return sizes


def _height_and_width(size: tuple[int, ...]) -> tuple[int, ...]:
    if len(size) != 2 or min(size) < 32 or max(size) > 4096:
        raise ValueError('expected height and width in pixels, each from 32 to 4096')
    return size


# YAML and ROS have lists where Python has tuples.
_Sizes = Annotated[tuple[int, ...], Strict(False), AfterValidator(_some_positive)]
_ImageSize = Annotated[tuple[int, ...], Strict(False), AfterValidator(_height_and_width)]


@dataclass(frozen=True, config=_STRICT)
class BackboneConfig:
    """Any timm ViT, or the feature map of any timm CNN."""

    name: str = 'tf_efficientnet_lite0.in1k'
    weights: str = ''  # a file; empty: the cache, an installed package, then the model hub
    layer: Annotated[int, Field(ge=-1)] = -1  # ViT block or CNN stage from 0; -1: the usual one
    image_size: _ImageSize = (224, 224)  # height, width; a ViT wants multiples of its patch


@dataclass(frozen=True, config=_STRICT)
class AdapterConfig:
    """Adapters in a frozen ViT (section 3.2); the placements are those of Table 4."""

    placement: Literal[
        'none', 'serial_lka', 'serial_parallel_lka', 'serial_parallel_va', 'serial_va_parallel_lka'
    ] = 'serial_va_parallel_lka'
    hidden_dim: _Count = 192
    scale: Annotated[float, Field(ge=0)] = 0.5  # s of eq. 6


@dataclass(frozen=True, config=_STRICT)
class FusionConfig:
    """Pyramid fusion (eq. 7)."""

    levels: _Sizes = (2, 3, 4)


@dataclass(frozen=True, config=_STRICT)
class EncoderConfig:
    """Robust encoder (eqs 8-11). E = num_tokens * token_dim."""

    num_layers: Annotated[int, Field(ge=0)] = 2
    num_heads: _Count = 8
    ffn_dim: _Count = 2048
    num_tokens: Annotated[int, Field(ge=0)] = 0  # 0: keep T; else W_proj mixes T -> num_tokens
    token_dim: Annotated[int, Field(ge=0)] = 0  # 0: keep D


@dataclass(frozen=True, config=_STRICT)
class GemConfig:
    """Generalised mean pooling."""

    p: Annotated[float, Field(gt=0)] = 3.0


@dataclass(frozen=True, config=_STRICT)
class GridConfig:
    """Average-pooled cells, flattened."""

    num_cells: _Count = 7  # along each side


@dataclass(frozen=True, config=_STRICT)
class VladConfig:
    """Residuals to a vocabulary that is fitted on the map."""

    num_clusters: _Count = 32
    num_features: _Count = 20000  # sampled from the map's images
    num_images: _Count = 500  # at most so many of them are looked at, evenly spread
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, config=_STRICT)
class MapConfig:
    """The map and its search."""

    path: str = ''
    top_k: Annotated[int, Field(ge=1, le=1000)] = 5
    index: Literal['flat', 'hnsw', 'ivfpq'] = 'flat'
    thumbnail_px: Annotated[int, Field(ge=0, le=1024)] = 320  # long side; 0: none
    # Below it the decision is UNKNOWN. -1 accepts every nearest keyframe, as recall at 1 does.
    min_similarity: Annotated[float, Field(ge=-1, le=1)] = -1.0


@dataclass(frozen=True, config=_STRICT)
class RuntimeConfig:
    """Where the networks run."""

    device: str = 'auto'  # auto: cuda where there is one; else cpu, cuda, cuda:1, ...
    num_threads: Annotated[int, Field(ge=0)] = 0  # 0: as torch chooses


@dataclass(frozen=True, config=_STRICT)
class Config:
    """The whole tree."""

    method: Method = 'vlad'  # best training-free head on held-out places: docs/results.md
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    adapters: AdapterConfig = field(default_factory=AdapterConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    gem: GemConfig = field(default_factory=GemConfig)
    grid: GridConfig = field(default_factory=GridConfig)
    vlad: VladConfig = field(default_factory=VladConfig)
    map: MapConfig = field(default_factory=MapConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)


_BRANCHES: dict[str, type] = {
    f.name: cast(type, f.default_factory)
    for f in fields(Config)
    if isinstance(f.default_factory, type)
}
_Part = TypeVar('_Part')


def settings(config: Config) -> dict[str, Any]:
    """The tree as flat names: {'method': 'vlad', 'map.top_k': 5, ...}."""
    return dict(_flatten(asdict(config)))


def model_settings(config: Config) -> dict[str, Any]:
    """Those that decide what a descriptor is; a map carries them."""
    apart = ('map.', 'runtime.')
    return {name: v for name, v in settings(config).items() if not name.startswith(apart)}


def load_config(
    file: Path | None = None,
    assignments: Iterable[str] = (),
    overrides: Mapping[str, Any] | None = None,
    base: Mapping[str, Any] | None = None,
) -> Config:
    """Base, then a YAML file, then `a.b=c` assignments, then named values; later ones win.

    Raises ConfigError for an unreadable file and for a wrong name, type or range.
    """
    flat = dict(base or {})
    flat |= dict(_flatten(_read_yaml(file))) if file else {}
    flat |= dict(parse_assignment(text) for text in assignments)
    flat |= overrides or {}
    return config_from_settings(flat)


def config_from_settings(flat: Mapping[str, Any]) -> Config:
    """The tree from flat names; what is not named keeps its default."""
    known = settings(Config())
    tree: dict[str, dict[str, Any]] = {}
    for name, value in flat.items():
        if name not in known:
            raise ConfigError(_unknown(name, known))
        branch, _, leaf = name.rpartition('.')
        tree.setdefault(branch, {})[leaf] = value
    top = tree.pop('', {})
    return _checked(Config, '', top | {k: _checked(_BRANCHES[k], f'{k}.', tree[k]) for k in tree})


def save_config(config: Config, file: Path) -> None:
    """Write YAML in ROS's own form, so that nodes and command line read the same file."""
    tree = {'/**': {'ros__parameters': _lists(asdict(config))}}
    file.write_text(yaml.safe_dump(tree, sort_keys=False), encoding='utf-8')


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(file.read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'cannot read the settings file {file}: {error.strerror}') from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f'{file} is not valid YAML: {error}') from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f'{file}: expected settings by name, found {type(tree).__name__}')
    for node, body in tree.items():  # ROS's form: a node name (or /**), then ros__parameters
        if isinstance(body, dict) and 'ros__parameters' in body:
            if len(tree) > 1:
                raise ConfigError(f'{file}: expected one node, found {", ".join(map(str, tree))}')
            parameters = body['ros__parameters'] or {}
            if not isinstance(parameters, dict):
                raise ConfigError(f'{file}: expected settings by name below {node}')
            return {k: v for k, v in parameters.items() if k not in NODE_ONLY}
    return tree


# Parameters of the ROS nodes alone; a file that both read may hold them.
NODE_ONLY = frozenset({'autostart', 'use_sim_time'})


def _flatten(tree: Mapping[str, Any], prefix: str = '') -> Iterable[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, f'{prefix}{name}.')
        else:
            yield f'{prefix}{name}', value


def _lists(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _lists(value) for name, value in tree.items()}
    return list(tree) if isinstance(tree, tuple) else tree


def parse_assignment(text: str) -> tuple[str, Any]:
    """`a.b=c` -> its name and its value, read as YAML. Raises ConfigError."""
    name, equals, value = text.partition('=')
    if not equals:
        raise ConfigError(f'expected --set NAME=VALUE, found {text!r}')
    try:
        return name.strip(), yaml.safe_load(value) if value else ''
    except yaml.YAMLError:
        raise ConfigError(f'the value in --set {text} cannot be read; quote it') from None


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f', did you mean {near[0]}?' if near else f'; there are {", ".join(known)}'
    return f'unknown setting {name}{hint}'


def _checked(part: Callable[..., _Part], prefix: str, values: Mapping[str, Any]) -> _Part:
    try:
        return part(**values)
    except ValidationError as error:
        raise ConfigError(_invalid(error, prefix)) from None


def _invalid(error: ValidationError, prefix: str) -> str:
    lines = []
    for item in error.errors():
        name = prefix + str(item['loc'][0])
        message = item['msg'].removeprefix('Value error, ').removeprefix('Input should be ')
        lines.append(f'{name} = {item["input"]!r}: expected {message.removeprefix("expected ")}')
    return 'wrong setting ' + '; '.join(lines)

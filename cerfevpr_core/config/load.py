"""Fill the tree of settings from YAML, `--set` and named values; check and save it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import ValidationError

from cerfevpr_core.config.tree import Config
from cerfevpr_core.errors import ConfigError

_BRANCHES: dict[str, type] = {
    f.name: cast(type, f.default_factory)
    for f in fields(Config)
    if isinstance(f.default_factory, type)
}
_Part = TypeVar('_Part')

# Branches of what works with descriptors, whatever model they are of.
_APART = ('landmarks.', 'loop.', 'map.', 'mapping.', 'sequence.', 'verification.', 'runtime.')
OFFLINE = ('gan.', 'train.', 'lln.')  # branches that only training reads


def settings(config: Config) -> dict[str, Any]:
    """The tree as flat names: {'method': 'vlad', 'map.top_k': 5, ...}."""
    return dict(_flatten(asdict(config)))


def model_settings(config: Config) -> dict[str, Any]:
    """Those that decide what a descriptor is; a map carries them."""
    return {n: v for n, v in settings(config).items() if not n.startswith((*_APART, *OFFLINE))}


def running_settings(config: Config) -> dict[str, Any]:
    """All but those of training, which a robot does not do."""
    return {name: v for name, v in settings(config).items() if not name.startswith(OFFLINE)}


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

"""The versions that an ablation compares: which settings differ, and the network to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from cerfevpr_core.backbone import load_backbone
from cerfevpr_core.backbone.load import create_network, takes_adapters
from cerfevpr_core.config import Config, config_from_settings, settings
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.heads import GemHead
from cerfevpr_core.model import TrainingFree, new_model
from cerfevpr_core.training.begin import tune_backbone


@dataclass(frozen=True)
class Version:
    """One row of a table: its settings, and in which of them it differs from those given."""

    name: str
    note: str  # what it is, in words
    config: Config
    differs: Mapping[str, Any]
    trains: bool = True


@dataclass(frozen=True)
class Versions:
    """Versions to compare, the first of which is what the others differ from."""

    rows: tuple[Version, ...]
    left_out: Mapping[str, str]  # by name, why: it would be the first one again


def stages(config: Config) -> Versions:
    """Table 3: the whole model, and without each of its stages in turn.

    Words, if there are any, stay when the pyramid goes, and the pyramid when they go: one thing
    differs at a time. `cls_alone` is what removing both leaves. Raises ConfigError.
    """
    _require_fresh(config)
    words = bool(config.fusion.num_words)
    kept = 'CLS and the words are left' if words else 'CLS alone is left'
    changes: dict[str, tuple[str, dict[str, Any]]] = {
        'full': ('as the settings say', {}),
        'without_variants': (
            'no variants, in training and of map images alike',
            {'variants.conditions': (), 'variants.at_query': False},
        ),
        'without_pyramid': (kept, {'fusion.levels': (), **_few_tokens(config, words)}),
        'without_words': ('CLS and the pyramid are left', {'fusion.num_words': 0}),
        'cls_alone': (
            'CLS alone is left',
            {'fusion.levels': (), 'fusion.num_words': 0, **_few_tokens(config, False)},
        ),
        'without_encoder': ('no layers of attention', {'encoder.num_layers': 0}),
    }
    return _versions(replace(config, method='cerfevpr'), changes)


def placements(config: Config) -> Versions:
    """Table 4: a ViT under generalised mean pooling, without adapters and with each placement.

    Adapters are all that is trained. Raises ConfigError where the backbone is no plain ViT.
    """
    _require_fresh(config)
    _require_vit(config)
    base = _changed(
        config,
        {'method': 'gem', 'variants.conditions': (), 'train.num_tuned': 0},
    )
    notes = {
        'none': 'no adapters: nothing is tunable, so it is measured as it is, untrained',
        'serial_lka': 'large-kernel adapters before attention and before the MLP',
        'serial_parallel_lka': 'large-kernel adapters before attention and beside the MLP',
        'serial_parallel_va': 'vanilla adapters before attention and beside the MLP',
        'serial_va_parallel_lka': 'a vanilla one before attention, a large-kernel one beside MLP',
    }
    rows = tuple(
        Version(
            name,
            note,
            _changed(base, {'adapters.placement': name}),
            {'adapters.placement': name},
            trains=name != 'none',
        )
        for name, note in notes.items()
    )
    return Versions(rows, {})


def build(version: Version) -> nn.Module:
    """The network of a version: pretrained weights, the rest as it starts, frozen what stays."""
    config = version.config
    if config.method == 'cerfevpr':
        model = new_model(config)
        tune_backbone(model.backbone.network, config.train.num_tuned)
        return model
    return TrainingFree(load_backbone(config.backbone, config.adapters), GemHead(config.gem))


def chosen(versions: Versions, names: str) -> Versions:
    """Those of a list `a,b`, always with the first, or all where it is empty.

    Raises ConfigError.
    """
    wanted = [name.strip() for name in names.split(',') if name.strip()]
    known = [row.name for row in versions.rows]
    for name in wanted:
        if name not in known:
            why = f' ({versions.left_out[name]})' if name in versions.left_out else ''
            raise ConfigError(f'--versions {name}{why}: expected some of {", ".join(known)}')
    rows = [row for row in versions.rows if not wanted or row.name in (known[0], *wanted)]
    return Versions(tuple(rows), versions.left_out)


def _versions(base: Config, changes: Mapping[str, tuple[str, dict[str, Any]]]) -> Versions:
    """Those that really differ from one another."""
    rows: list[Version] = []
    left_out: dict[str, str] = {}
    for name, (note, change) in changes.items():
        config = _changed(base, change)
        same = [row.name for row in rows if row.config == config]
        if same:
            left_out[name] = f'with these settings it is {same[0]} again'
            continue
        given = settings(base)
        differs = {key: value for key, value in change.items() if given[key] != value}
        rows.append(Version(name, note, config, differs))
    return Versions(tuple(rows), left_out)


def _few_tokens(config: Config, words: bool) -> dict[str, Any]:
    """What a projection of many tokens must be for few: W_proj cannot mix more out of one.

    Where CLS is alone, a compact projection leaves it all its numbers.
    """
    whole = {'encoder.token_dim': 0} if config.encoder.descriptor_dim and not words else {}
    return {'encoder.num_tokens': 0, **whole}


def _changed(config: Config, change: Mapping[str, Any]) -> Config:
    return config_from_settings(settings(config) | dict(change))


def _require_fresh(config: Config) -> None:
    if config.descriptor.weights:
        raise ConfigError(
            f'descriptor.weights = {config.descriptor.weights}: each version is trained from the '
            'start; leave it out'
        )


def _require_vit(config: Config) -> None:
    """Say so before the first version is measured."""
    if not takes_adapters(create_network(config.backbone)):
        raise ConfigError(
            f'backbone.name = {config.backbone.name}: adapters need a plain ViT; give one, as '
            '--set backbone.name=vit_small_patch14_dinov2.lvd142m'
        )

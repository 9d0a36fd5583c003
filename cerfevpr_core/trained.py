"""A trained descriptor: what of a model goes into its file, and the model of such a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from cerfevpr_core.checkpoint import SavedNetwork, State, load_network
from cerfevpr_core.config import TRAINING_FREE, Config, config_from_settings, settings
from cerfevpr_core.errors import ConfigError, WeightsError

SHIPPED = Path(__file__).parent / 'models' / 'cerfevpr.safetensors'

_DECIDED = ('backbone.', 'adapters.', 'fusion.', 'encoder.')  # by the file


def trained_state(model: nn.Module) -> State:
    """All but the frozen network, which comes from where its weights usually come from."""
    tunable = {name for name, value in model.named_parameters() if value.requires_grad}
    return {
        name: value
        for name, value in model.state_dict().items()
        if name in tunable or not name.startswith('backbone.')
    }


def fill(model: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    """Put a trained state into a model: strictly, but for the frozen network it may leave out.

    Raises WeightsError.
    """
    own = model.state_dict()
    missing = sorted(trained_state(model).keys() - state.keys())
    foreign = sorted(state.keys() - own.keys())
    shapes = [n for n in sorted(own.keys() & state.keys()) if own[n].shape != state[n].shape]
    if missing or foreign or shapes:
        faults = [f'lacks {len(missing)} tensors, first {missing[0]}'] if missing else []
        faults += [f'has {len(foreign)} others, first {foreign[0]}'] if foreign else []
        faults += [
            f'{n} is {tuple(state[n].shape)}, expected {tuple(own[n].shape)}' for n in shapes[:1]
        ]
        raise WeightsError(f'{origin} does not fit the model of its settings: {"; ".join(faults)}')
    model.load_state_dict(state, strict=False)


def descriptor_file(config: Config) -> Path:
    """The file that `descriptor.weights` names, or else the one that comes with the package."""
    return Path(config.descriptor.weights).expanduser() if config.descriptor.weights else SHIPPED


def read_descriptor(config: Config) -> SavedNetwork:
    """The trained descriptor of the settings, in single precision. Raises WeightsError."""
    saved = load_network(descriptor_file(config))
    return replace(saved, state={name: value.float() for name, value in saved.state.items()})


def settled(config: Config) -> Config:
    """The settings with those of the trained descriptor's file, which knows what it is.

    A setting that was left at its default takes the file's value. Raises ConfigError where one
    was set to something else, WeightsError where there is no file.
    """
    if config.method != 'cerfevpr':
        return config
    saved = read_descriptor(config).settings
    flat, usual = settings(config), settings(Config())
    decided = {
        name: value
        for name, value in saved.items()
        if name in flat and name.startswith(_DECIDED) and name != 'backbone.weights'
    }
    differing = [
        f'{name} is {_plain(flat[name])}, the file has {_plain(value)}'
        for name, value in decided.items()
        if _plain(flat[name]) not in (_plain(usual[name]), _plain(value))
    ]
    if differing:
        raise ConfigError(
            f'the descriptor {descriptor_file(config)} was trained otherwise: '
            f'{"; ".join(differing)}; leave these settings out, or choose another method '
            f'({", ".join(TRAINING_FREE)})'
        )
    return config_from_settings(flat | decided)


def _plain(value: object) -> str:
    """As JSON has it: lists for tuples."""
    return json.dumps(value)

"""Trained generators, by the name of the condition they lead to."""

from __future__ import annotations

from pathlib import Path

from cerfevpr_core.checkpoint import load_network
from cerfevpr_core.errors import ConfigError, WeightsError
from cerfevpr_core.gan.generator import Generator

SHIPPED = Path(__file__).parents[1] / 'models' / 'generators'


def conditions(folder: str = '') -> tuple[str, ...]:
    """The conditions that there are generators for. Raises ConfigError where there are none."""
    names = tuple(sorted(file.stem for file in _root(folder).glob('*.safetensors')))
    if not names:
        raise ConfigError(
            f'no generators in {_root(folder)}; train some with `cerfevpr train gan`'
        )
    return names


def generator_file(condition: str, folder: str = '') -> Path:
    """Where a condition's generator is. Raises ConfigError, naming the conditions there are."""
    file = _root(folder) / f'{condition}.safetensors'
    if condition not in conditions(folder):
        raise ConfigError(
            f'variants.conditions has {condition!r}, for which there is no {file}; there are '
            f'{", ".join(conditions(folder))}; train one with `cerfevpr train gan`, and say where '
            'in variants.generators'
        )
    return file


def load_generator(file: Path) -> Generator:
    """A trained generator, ready to run. Raises WeightsError."""
    saved = load_network(file)
    try:
        sizes = [int(saved.settings[f'gan.{name}']) for name in ('num_filters', 'num_blocks')]
        generator = Generator(*sizes)
        generator.load_state_dict({key: value.float() for key, value in saved.state.items()})
    except (KeyError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f'{file} holds no generator of this version ({reason})') from None
    return generator.eval().requires_grad_(False)


def _root(folder: str) -> Path:
    return Path(folder).expanduser() if folder else SHIPPED

"""Names of methods as `evaluate` knows them: a descriptor, and what re-ranks its candidates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast, get_args

from cerfevpr_core.config import SELECTIONS, Config, Method, Selection
from cerfevpr_core.errors import ConfigError

BASELINES: tuple[Selection, ...] = ('rand', 'act', 'all')  # the landmark paper's


@dataclass(frozen=True)
class NamedMethod:
    """`selection` is that of the landmarks that re-rank; `none`: the descriptor alone."""

    name: str
    method: Method
    selection: Selection = 'none'
    sequence: bool = False  # whether the queries before one count

    def settings(self, config: Config) -> Config:
        """The settings to run it with."""
        landmarks = replace(config.landmarks, selection=self.selection)
        return replace(config, method=self.method, landmarks=landmarks)


def parse_method(name: str) -> NamedMethod:
    """`cls`, `cerfevpr+lln`, or `act` for `cerfevpr+act`; each with `+sequence` behind it.

    Raises ConfigError.
    """
    image_alone = name.removesuffix('+sequence')
    method, plus, selection = image_alone.partition('+')
    sequence = image_alone != name
    if not plus and method in BASELINES:
        return NamedMethod(name, 'cerfevpr', cast(Selection, method), sequence)
    if method not in get_args(Method) or (plus and selection not in SELECTIONS):
        known = ', '.join((*get_args(Method), *BASELINES))
        raise ConfigError(
            f'--methods {name}: expected some of {known}, or one of them re-ranked, as '
            f'cerfevpr+lln ({", ".join(SELECTIONS)}), and +sequence behind it'
        )
    return NamedMethod(name, cast(Method, method), cast(Selection, selection or 'none'), sequence)

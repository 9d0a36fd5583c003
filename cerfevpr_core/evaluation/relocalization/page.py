"""The page of a benchmark: tables and the figure, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cerfevpr_core.errors import ConfigError
from cerfevpr_core.evaluation.report import environment_facts

from .figure import write_figure
from .result import Benchmark
from .tables import by_condition, gain_of_regions, near_map, overall, protocol

FIGURE = 'relocalization.png'


def write_page(
    benchmark: Benchmark, folder: Path, settings: Mapping[str, Any], command: str
) -> Path:
    """`relocalization.md` and its figure in a folder. Raises ConfigError if it cannot."""
    file = folder / 'relocalization.md'
    near = near_map(benchmark)
    lines = [
        '# Relocalization',
        '',
        *(f'{sentence}\n' for sentence in protocol(benchmark)),
        f'![Success of each combination by condition]({FIGURE})',
        '',
        *overall(benchmark).lines(),
        '',
        '## Success by condition',
        '',
        *by_condition(benchmark).lines(),
        '',
        '## Gain of regions',
        '',
        *gain_of_regions(benchmark).lines(),
        '',
        *(['## Queries near the map', '', *near.lines(), ''] if near else []),
        '## How',
        '',
        f'`{command}`',
        '',
        *(f'- {name}: {value}' for name, value in environment_facts()),
        *(f'- `{name}`: {value}' for name, value in settings.items()),
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text('\n'.join(lines) + '\n', encoding='utf-8')
        write_figure(benchmark, folder / FIGURE)
    except OSError as error:
        raise ConfigError(
            f'cannot write {file}: {error.strerror}; choose another folder'
        ) from None
    return file

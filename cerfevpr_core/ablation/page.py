"""ablation.md: the table and its protocol, to be read and to be put into a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TITLES = {
    'stages': 'Without each stage (Table 3 of the paper)',
    'placements': 'Adapter placements under a GeM head (Table 4 of the paper)',
    'dimensions': 'Descriptor sizes (Table 5 of the paper)',
}
_COUNTS = {'num_tunable': 'tunable', 'num_tokens': 'tokens', 'descriptor_dim': 'size'}


def page(content: Mapping[str, Any]) -> str:
    """The record as Markdown."""
    protocol, versions = content['protocol'], content['versions']
    parts = [f'# {_TITLES[protocol["ablation"]]}', '\n'.join(_protocol(protocol))]
    if versions:
        parts += ['\n'.join(table(versions)), _noise(protocol), '\n'.join(_notes(versions))]
    parts += [f'    {command}' for command in content['commands']]
    return '\n\n'.join(parts) + '\n'


def table(versions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows of a Markdown table: recall at 1 / 5 / 10 by traverse, the best of each bold."""
    traverses = list(versions[0]['recall'])
    best = {
        (name, k): max(row['recall'][name][k] for row in versions)
        for name in traverses
        for k in versions[0]['recall'][name]
    }
    counted = [name for name in _COUNTS if name in versions[0]]
    head = ['version', *(_COUNTS[name] for name in counted), *traverses, 'difference']
    lines = [_row(head), _row(['---'] * len(head))]
    for number, row in enumerate(versions):
        cells = [
            ' / '.join(
                _bold(value, value == best[name, k]) for k, value in row['recall'][name].items()
            )
            for name in traverses
        ]
        counts = [_count(row[name]) for name in counted]
        lines.append(_row([f'`{row["name"]}`', *counts, *cells, _difference(row, number)]))
    return lines


def _protocol(protocol: Mapping[str, Any]) -> list[str]:
    queries = ', '.join(
        f'{name} ({t["num_answerable"]} queries in {t["num_database"]} images)'
        for name, t in protocol['traverses'].items()
    )
    lines = [f'- Learned from: {protocol["places"]}.']
    lines += [f'- Trained: {protocol["training"]}.'] if 'training' in protocol else []
    lines += [f'- Fitted: {protocol["fitted"]}.'] if 'fitted' in protocol else []
    lines += [
        f'- Measured on: {queries}; right is within {protocol["radius_m"]:g} m, one query at a '
        f'time. {protocol["selection"].capitalize()}.',
    ]
    lines += [f'- Left out: `{name}`, {why}.' for name, why in protocol['left_out'].items()]
    return lines


def _noise(protocol: Mapping[str, Any]) -> str:
    return (
        f'Recall at 1 / 5 / 10 in percent. The difference is that of the mean recall at 1 to '
        f'`{protocol["first"]}`, with the standard error of this number of queries: below two of '
        'them it says nothing, and it knows nothing of other seeds.'
    )


def _notes(versions: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for row in versions:
        differs = ', '.join(f'{name} = {value}' for name, value in row['differs'].items())
        lines.append(f'- `{row["name"]}`: {row["note"]}{f" ({differs})" if differs else ""}.')
    return lines


def _difference(row: Mapping[str, Any], number: int) -> str:
    if number == 0:
        return f'± {row["standard_error"]:.1f}'
    found = row['difference']
    return f'{found["recall_at_1"]:+.1f} ± {found["standard_error"]:.1f}'


def _bold(value: float, is_best: bool) -> str:
    return f'**{value:.1f}**' if is_best else f'{value:.1f}'


def _count(number: int) -> str:
    return f'{number / 1e6:.2f} M' if number >= 1e5 else str(number)


def _row(cells: Sequence[str]) -> str:
    return f'| {" | ".join(cells)} |'

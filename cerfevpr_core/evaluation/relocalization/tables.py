"""The figures of a benchmark as tables of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .result import SUCCESS_DEG, SUCCESS_M, Benchmark, Figures, Row, figures


class Table(NamedTuple):
    """Headings and rows of cells; the first `num_texts` columns say what a row is."""

    columns: list[str]
    rows: list[list[str]]
    num_texts: int = 3

    def lines(self) -> list[str]:
        """Markdown that is aligned: first columns of text, then numbers."""
        widths = [max(3, *map(len, cells)) for cells in zip(self.columns, *self.rows, strict=True)]
        rule = ['-' * width for width in widths]
        rule[self.num_texts :] = [f'{dashes[1:]}:' for dashes in rule[self.num_texts :]]
        return [self._line(cells, widths) for cells in (self.columns, rule, *self.rows)]

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        padded = [
            cell.rjust(width) if column >= self.num_texts else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f'| {" | ".join(padded)} |'


def overall(benchmark: Benchmark) -> Table:
    """One row a combination, over all conditions."""
    columns = ['candidates', 'matching', 'keypoints', 'success %', 'ceiling %', 'wrong %']
    columns += ['error m', 'degrees', 'ms a query']
    return Table(columns, [_overall_row(row) for row in benchmark.rows])


def by_condition(benchmark: Benchmark) -> Table:
    """Success in percent, one column a condition, and under each source its ceiling."""
    conditions = list(benchmark.rows[0].answers)
    columns = ['candidates', 'matching', 'keypoints', *conditions]
    rows = []
    for number, row in enumerate(benchmark.rows):
        rows.append(
            [*_names(row), *(f'{figures(row.answers[c]).success:.1f}' for c in conditions)]
        )
        is_last = number + 1 == len(benchmark.rows)
        if is_last or benchmark.rows[number + 1].candidates != row.candidates:
            ceilings = (figures(row.answers[c]).ceiling for c in conditions)
            rows.append([row.candidates, 'ceiling', '', *(f'{c:.1f}' for c in ceilings)])
    return Table(columns, rows)


def protocol(benchmark: Benchmark) -> list[str]:
    """In sentences, what was measured and by which rules."""
    answers = benchmark.rows[0].all_answers
    near = figures(answers).num_near
    return [
        f'{benchmark.name}: {len(answers)} queries, one at a time, in a map of '
        f'{benchmark.num_keyframes} keyframes, of which {benchmark.num_with_points} have 3-D '
        f'points; {benchmark.num_words} words; landmarks selected by {benchmark.selection}.',
        f'Success: a pose within {SUCCESS_M:g} m and {SUCCESS_DEG:g} degrees of the true one. '
        'Wrong: a pose that is not.',
        f'Ceiling: queries with a correct keyframe among their first five candidates. Correct is '
        f'one {benchmark.right}; {near} of {len(answers)} queries have one in the map.',
    ]


def near_map(benchmark: Benchmark) -> Table | None:
    """Success of the queries that have a correct keyframe in the map, where not all do."""
    found = [(row, figures(row.all_answers)) for row in benchmark.rows]
    if not found or found[0][1].num_near == found[0][1].num_queries:
        return None
    columns = ['candidates', 'matching', 'keypoints', 'queries near the map', 'success %']
    return Table(
        columns,
        [[*_names(row), str(f.num_near), _number(f.success_near, '.1f')] for row, f in found],
    )


def gain_of_regions(benchmark: Benchmark) -> Table:
    """Regions against the other matchings, query by query: located by only one of the two."""
    columns = ['candidates', 'regions against', 'keypoints', 'only regions', 'only the other']
    columns += ['difference %', 'standard error']
    rows = []
    for row in benchmark.rows:
        for other in benchmark.rows:
            alike = (row.candidates, row.keypoints) == (other.candidates, other.keypoints)
            if alike and row.matching == 'regions' != other.matching:
                names = [row.candidates, other.matching, row.keypoints]
                rows.append([*names, *_difference(row, other)])
    return Table(columns, rows)


def _difference(row: Row, other: Row) -> list[str]:
    pairs = zip(row.all_answers, other.all_answers, strict=True)
    outcomes = [(one.success, two.success) for one, two in pairs]
    only, only_other = outcomes.count((True, False)), outcomes.count((False, True))
    gain, number = only - only_other, len(outcomes)
    error = math.sqrt(only + only_other - gain**2 / number) / number
    return [str(only), str(only_other), f'{100 * gain / number:+.1f}', f'{100 * error:.1f}']


def _overall_row(row: Row) -> list[str]:
    found: Figures = figures(row.all_answers)
    shares = (found.success, found.ceiling, found.wrong)
    return [
        *_names(row),
        *(f'{share:.1f}' for share in shares),
        _number(found.median_error_m, '.3f'),
        _number(found.median_error_deg, '.2f'),
        f'{found.ms_p50:.0f}',
    ]


def _names(row: Row) -> Sequence[str]:
    return row.candidates, row.matching, row.keypoints


def _number(value: float | None, form: str) -> str:
    return '-' if value is None else format(value, form)

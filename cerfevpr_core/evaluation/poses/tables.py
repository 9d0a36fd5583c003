"""The figures as tables of text."""

from __future__ import annotations

from cerfevpr_core.evaluation.relocalization.result import SUCCESS_DEG, SUCCESS_M
from cerfevpr_core.evaluation.relocalization.tables import Table

from .result import RARE, Answer, Result, all_of, calibration, reached


def protocol(result: Result) -> list[str]:
    """In sentences, what was measured and by which rules."""
    inside, outside = all_of(result.of(True)), all_of(result.of(False))
    return [
        f'{result.name}: {len(inside)} images of the street and {len(outside)} of places that are '
        f'not in the map, one at a time, in a map of {result.num_keyframes} keyframes.',
        f'Correct: a pose within {SUCCESS_M:g} m and {SUCCESS_DEG:g} degrees of the true one. '
        'Wrong: a pose that is not.',
    ]


def by_condition(result: Result) -> Table:
    """Images of the map's street, one row a condition, and all."""
    columns = ['of the street', 'images', 'posed %', 'correct %', 'wrong', 'error m', 'degrees']
    groups = result.of(True)
    rows = [_reached_row(group.name, group.answers) for group in groups]
    return Table([*columns, 'ms'], [*rows, _reached_row('all', all_of(groups))], 1)


def elsewhere(result: Result) -> Table | None:
    """Images of other places: poses must be none. None where nothing was asked of them."""
    groups = result.of(False)
    if not groups:
        return None
    rows = [_elsewhere_row(group.name, group.answers) for group in groups]
    columns = ['of elsewhere', 'images', 'poses', 'with a verified candidate']
    return Table(columns, [*rows, _elsewhere_row('all', all_of(groups))], 1)


def covariances(result: Result) -> Table:
    """Whether poses know their error, one row a condition, and all."""
    columns = ['NEES', 'poses', 'mean', '95 % of means', 'median', f'above {RARE:g}']
    groups = result.of(True)
    rows = [_nees_row(group.name, group.answers) for group in groups]
    columns += ['highest', 'mean without worst 1 %']
    return Table(columns, [*rows, _nees_row('all', all_of(groups))], 1)


def _reached_row(name: str, answers: list[Answer]) -> list[str]:
    found = reached(answers)
    errors = (
        ('-', '-')
        if found.median_error_m is None or found.median_error_deg is None
        else (f'{found.median_error_m:.3f}', f'{found.median_error_deg:.2f}')
    )
    shares = f'{found.posed:.1f}', f'{found.correct:.1f}', str(found.num_wrong)
    return [name, str(found.num_queries), *shares, *errors, f'{found.ms_p50:.0f}']


def _elsewhere_row(name: str, answers: list[Answer]) -> list[str]:
    numbers = len(answers), sum(a.posed for a in answers), sum(a.verified for a in answers)
    return [name, *map(str, numbers)]


def _nees_row(name: str, answers: list[Answer]) -> list[str]:
    found = calibration(answers)
    if found is None:
        return [name, '0', '-', '-', '-', '-', '-', '-']
    low, high = found.interval
    return [
        name,
        str(found.num_poses),
        f'{found.mean:.2f}',
        f'{low:.2f} to {high:.2f}',
        f'{found.median:.2f}',
        str(found.num_rare),
        f'{found.highest:.1f}',
        f'{found.mean_without_worst:.2f}',
    ]

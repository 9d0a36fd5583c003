"""What came of a benchmark, and its figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

SUCCESS_M, SUCCESS_DEG = 0.25, 5.0


@dataclass(frozen=True)
class Answer:
    """What one combination made of one query.

    `right_candidate` says whether a candidate is a correct keyframe, `has_right` whether the map
    has one at all. `error` is in metres and degrees; None where there is no pose.
    """

    query: str
    candidates: list[str]
    right_candidate: bool
    has_right: bool
    error: tuple[float, float] | None
    ms: float

    @property
    def success(self) -> bool:
        """Whether the pose is near enough to the true one."""
        return self.error is not None and (
            self.error[0] < SUCCESS_M and self.error[1] < SUCCESS_DEG
        )


@dataclass(frozen=True)
class Row:
    """One combination, with its answers by condition."""

    candidates: str
    matching: str
    keypoints: str
    answers: Mapping[str, list[Answer]]

    @property
    def all_answers(self) -> list[Answer]:
        """Of all conditions."""
        return [answer for answers in self.answers.values() for answer in answers]


@dataclass(frozen=True)
class Benchmark:
    """All rows of one set. `right` says which keyframes are correct, `selection` of landmarks."""

    name: str
    num_keyframes: int
    num_with_points: int
    right: str
    num_words: int
    selection: str
    rows: list[Row]


@dataclass(frozen=True)
class Figures:
    """Of some answers; shares in percent. Medians are of the poses that were given.

    `ceiling` is the share of queries with a correct keyframe among the candidates, `wrong` that of
    poses which are not near enough. `success_near` is that of queries the map has a keyframe for.
    """

    num_queries: int
    success: float
    ceiling: float
    wrong: float
    num_near: int
    success_near: float | None
    median_error_m: float | None
    median_error_deg: float | None
    ms_p50: float


def figures(answers: Sequence[Answer]) -> Figures:
    """What a row says of some queries, at least one."""
    errors = [answer.error for answer in answers if answer.error is not None]
    median = np.median(errors, axis=0) if errors else None
    near = [answer for answer in answers if answer.has_right]
    return Figures(
        len(answers),
        percent(a.success for a in answers),
        percent(a.right_candidate for a in answers),
        percent(a.error is not None and not a.success for a in answers),
        len(near),
        percent(a.success for a in near) if near else None,
        None if median is None else float(median[0]),
        None if median is None else float(median[1]),
        float(np.median([a.ms for a in answers])),
    )


def percent(flags: Iterable[bool]) -> float:
    """The share that is true; at least one."""
    return 100 * float(np.mean(list(flags)))


def as_json(benchmark: Benchmark, settings: Mapping[str, Any]) -> dict[str, Any]:
    """For a file: figures of each row and condition, and every answer."""
    return {
        'map': {
            'name': benchmark.name,
            'num_keyframes': benchmark.num_keyframes,
            'num_with_points': benchmark.num_with_points,
            'num_words': benchmark.num_words,
            'landmarks': benchmark.selection,
        },
        'success': f'a pose within {SUCCESS_M:g} m and {SUCCESS_DEG:g} degrees',
        'correct_keyframe': benchmark.right,
        'rows': [_row(row) for row in benchmark.rows],
        'settings': dict(settings),
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        'candidates': row.candidates,
        'matching': row.matching,
        'keypoints': row.keypoints,
        'all': asdict(figures(row.all_answers)),
        'conditions': {name: asdict(figures(some)) for name, some in row.answers.items()},
        'queries': [asdict(answer) for answer in row.all_answers],
    }

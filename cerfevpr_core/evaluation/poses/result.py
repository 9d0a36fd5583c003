"""What came of the questions, and its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cerfevpr_core.evaluation.relocalization.result import SUCCESS_DEG, SUCCESS_M

FREEDOM = 6  # a pose's numbers: what its NEES is on average, if its covariance is right
RARE = 22.46  # chi-squared with six degrees of freedom exceeds it once in a thousand
_WORST = 0.01  # the share of poses that is left out to see what the rest say


@dataclass(frozen=True)
class Answer:
    """What the recognizer said of one image.

    `error` is in metres and degrees, `nees` that error in the pose's own covariance; both None
    without a pose, or where the map has no true one. `verified`: at least one candidate is.
    """

    query: str
    posed: bool
    error: tuple[float, float] | None
    nees: float | None
    verified: bool
    reason: str | None
    ms: float

    @property
    def correct(self) -> bool:
        """Whether the pose is near enough to the true one."""
        return self.error is not None and (
            self.error[0] < SUCCESS_M and self.error[1] < SUCCESS_DEG
        )


@dataclass(frozen=True)
class Group:
    """Answers of one kind; `in_map` says whether the map has what they show."""

    name: str
    in_map: bool
    answers: list[Answer]


@dataclass(frozen=True)
class Result:
    """All groups asked of one map."""

    name: str
    num_keyframes: int
    groups: list[Group]

    def of(self, in_map: bool) -> list[Group]:
        """The groups of places that are in the map, or that are not."""
        return [group for group in self.groups if group.in_map is in_map]


@dataclass(frozen=True)
class Calibration:
    """NEES of poses (normalized estimation error squared), six degrees of freedom.

    Where covariances are right the mean of `num_poses` lies in `interval` 19 times of 20, and
    one of a thousand is above RARE.
    """

    num_poses: int
    mean: float
    interval: tuple[float, float]
    median: float
    num_rare: int
    highest: float
    mean_without_worst: float


def calibration(answers: Sequence[Answer]) -> Calibration | None:
    """Of the poses among some answers; None without any."""
    nees = np.sort([answer.nees for answer in answers if answer.nees is not None])
    if not len(nees):
        return None
    half = 1.96 * float(np.sqrt(2 * FREEDOM / len(nees)))
    kept = nees[: max(1, len(nees) - int(np.ceil(_WORST * len(nees))))]
    return Calibration(
        len(nees),
        float(nees.mean()),
        (FREEDOM - half, FREEDOM + half),
        float(np.median(nees)),
        int((nees > RARE).sum()),
        float(nees[-1]),
        float(kept.mean()),
    )


@dataclass(frozen=True)
class Reached:
    """Of queries whose place is in the map: shares in percent, medians of the poses."""

    num_queries: int
    posed: float
    correct: float
    num_wrong: int
    median_error_m: float | None
    median_error_deg: float | None
    ms_p50: float


def reached(answers: Sequence[Answer]) -> Reached:
    """Figures of at least one answer."""
    errors = [answer.error for answer in answers if answer.error is not None]
    median = np.median(errors, axis=0) if errors else None
    return Reached(
        len(answers),
        100 * float(np.mean([a.posed for a in answers])),
        100 * float(np.mean([a.correct for a in answers])),
        sum(a.posed and not a.correct for a in answers),
        None if median is None else float(median[0]),
        None if median is None else float(median[1]),
        float(np.median([a.ms for a in answers])),
    )


def all_of(groups: Sequence[Group]) -> list[Answer]:
    """Their answers together."""
    return [answer for group in groups for answer in group.answers]


def as_json(result: Result, settings: Mapping[str, Any], command: str) -> dict[str, Any]:
    """For a file: figures and every answer."""
    inside, outside = all_of(result.of(True)), all_of(result.of(False))
    known = calibration(inside)
    return {
        'map': {'name': result.name, 'num_keyframes': result.num_keyframes},
        'correct': f'a pose within {SUCCESS_M:g} m and {SUCCESS_DEG:g} degrees',
        'reachable': asdict(reached(inside)),
        'elsewhere': {
            'num_queries': len(outside),
            'num_poses': sum(a.posed for a in outside),
            'num_verified': sum(a.verified for a in outside),
        },
        'nees': asdict(known) if known else None,
        'groups': [asdict(group) for group in result.groups],
        'settings': dict(settings),
        'command': command,
    }

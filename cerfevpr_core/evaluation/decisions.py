"""How honest the decisions of a map are: asked with images of its places and of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cerfevpr_core.calibration.reliability import Bin, calibration_error, reliability
from cerfevpr_core.data.frames import Frame, FrameSource, frame_number
from cerfevpr_core.decision import Decision
from cerfevpr_core.evaluation.page import BigNumber
from cerfevpr_core.evaluation.relocalization.tables import Table
from cerfevpr_core.geometry import Camera
from cerfevpr_core.place_map import Candidate
from cerfevpr_core.recognizer import PlaceRecognizer
from cerfevpr_core.sequence import SequenceFilter

Track = Callable[[Iterable[Frame], str, int], Iterable[Frame]]


@dataclass(frozen=True)
class Judged:
    """An answer and the truth; `probability` is None where the map has no calibration."""

    name: str
    decision: Decision
    probability: float | None
    similarity: float
    right: bool


@dataclass(frozen=True)
class Asked:
    """The answers to images of places that are in the map, or of places that are not."""

    name: str
    in_map: bool
    answers: list[Judged]


def ask(
    recognizer: PlaceRecognizer,
    frames: FrameSource,
    name: str,
    frame_tolerance: int | None,
    camera: Camera | None,
    track: Track,
    sequence: SequenceFilter | None = None,
) -> Asked:
    """Ask images one at a time; without a tolerance their places are elsewhere.

    Right is a first candidate whose number, the last one of its name, differs by at most that.
    Each image by itself; with a sequence after those that it was given before.
    """
    answers = []
    for frame in track(frames, name, len(frames)):
        found = recognizer.recognize(frame.image, camera=camera, sequence=sequence)
        first = found.candidates[0]
        is_right = frame_tolerance is not None and _near(frame.name, first, frame_tolerance)
        answers.append(
            Judged(frame.name, found.decision, first.probability, first.similarity, is_right)
        )
    return Asked(name, frame_tolerance is not None, answers)


def _near(image: str, first: Candidate, tolerance: int) -> bool:
    return abs(frame_number(image) - frame_number(first.name)) <= tolerance


def mixtures(asked: Sequence[Asked]) -> dict[str, list[Judged]]:
    """All answers, those in the map alone, and as many from elsewhere as in the map."""
    inside = [a for each in asked if each.in_map for a in each.answers]
    outside = [a for each in asked if not each.in_map for a in each.answers]
    found = {'in the map': inside} if inside else {}
    if inside and outside:
        number = min(len(inside), len(outside))
        found['half and half'] = _evenly(inside, number) + _evenly(outside, number)
    return found


def _evenly(answers: Sequence[Judged], number: int) -> list[Judged]:
    return [answers[i] for i in np.linspace(0, len(answers) - 1, number).round().astype(int)]


def error_of(answers: Sequence[Judged]) -> float | None:
    """Expected calibration error; None where there are no probabilities."""
    known = [a for a in answers if a.probability is not None]
    if not known:
        return None
    return calibration_error([a.probability or 0.0 for a in known], [a.right for a in known])


def bins_of(answers: Sequence[Judged]) -> list[Bin]:
    """The reliability diagram of answers that have a probability."""
    known = [a for a in answers if a.probability is not None]
    return reliability([a.probability or 0.0 for a in known], [a.right for a in known])


def decisions_table(asked: Sequence[Asked]) -> Table:
    """Shares of each decision, and of matches that are right, in percent of the images."""
    columns = ['asked', 'images', 'first right %', 'match %', 'match, right %', 'ambiguous %']
    return Table([*columns, 'unknown %'], [_row(each) for each in asked], 1)


def _row(asked: Asked) -> list[str]:
    answers = asked.answers

    def share(of: Callable[[Judged], bool]) -> str:
        return f'{100 * sum(map(of, answers)) / max(len(answers), 1):.1f}'

    return [
        asked.name if asked.in_map else f'{asked.name} (elsewhere)',
        str(len(answers)),
        share(lambda a: a.right),
        share(lambda a: a.decision == Decision.MATCH),
        share(lambda a: a.decision == Decision.MATCH and a.right),
        share(lambda a: a.decision == Decision.AMBIGUOUS),
        share(lambda a: a.decision == Decision.UNKNOWN),
    ]


def errors_table(asked: Sequence[Asked]) -> Table:
    """The expected calibration error of each mixture."""
    found = mixtures(asked).items()
    rows = [[name, str(len(a)), _number(error_of(a))] for name, a in found]
    return Table(['mixture', 'images', 'calibration error'], rows, 1)


def big_numbers(asked: Sequence[Asked]) -> list[BigNumber]:
    """What a report says first: matches that are right, wrong, and of places elsewhere."""
    inside = [a for each in asked if each.in_map for a in each.answers]
    outside = [a for each in asked if not each.in_map for a in each.answers]
    matched = [a for a in inside if a.decision == Decision.MATCH]
    num_right = sum(a.right for a in matched)
    of_all = f'of {len(inside)} images in the map'
    numbers = [
        BigNumber('right matches', str(num_right), of_all),
        BigNumber('wrong matches', str(len(matched) - num_right), of_all),
    ]
    if outside:
        false = sum(a.decision == Decision.MATCH for a in outside)
        numbers.append(BigNumber('matches elsewhere', str(false), f'of {len(outside)} images'))
    for name, answers in mixtures(asked).items():
        numbers.append(BigNumber('calibration error', _number(error_of(answers)), name))
    return numbers


def _number(error: float | None) -> str:
    return '-' if error is None else f'{error:.3f}'


def as_json(asked: Sequence[Asked], settings: Mapping[str, Any], command: str) -> dict[str, Any]:
    """Everything that `--json` writes."""
    return {
        'command': command,
        'settings': dict(settings),
        'calibration_error': {name: error_of(a) for name, a in mixtures(asked).items()},
        'asked': [
            {
                'name': each.name,
                'in_map': each.in_map,
                'answers': [
                    {
                        'image': a.name,
                        'decision': a.decision.name,
                        'probability': a.probability,
                        'similarity': a.similarity,
                        'right': a.right,
                    }
                    for a in each.answers
                ],
            }
            for each in asked
        ],
    }

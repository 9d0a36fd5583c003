"""Reports of an evaluation and of a localization, ready for the page."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.calibration.reliability import Bin, reliability
from cerfevpr_core.data.frames import frame_number
from cerfevpr_core.decision import Decision
from cerfevpr_core.describer import evenly
from cerfevpr_core.evaluation.evaluate import MethodResult
from cerfevpr_core.evaluation.page import BigNumber, Report, write_report
from cerfevpr_core.evaluation.pairs import NO_TRUE_KEYFRAME, Pair, first_correct, pairs_from
from cerfevpr_core.evaluation.place_plots import Route
from cerfevpr_core.evaluation.protocol import Positives
from cerfevpr_core.evaluation.style import milliseconds
from cerfevpr_core.place_map import Candidate
from cerfevpr_core.recognizer import Answer, PlaceRecognizer, Recognition

__all__ = [  # one door for callers
    'BigNumber', 'Pair', 'Report', 'Route', 'environment_facts', 'report_from_evaluation',
    'report_from_localization', 'write_report',
]  # fmt: skip

MAX_PAIRS = 200  # keeps the file below 15 MB
_NO_TRUTH = 'The true places are not known here: a match is not yet a right one.'
LIBRARIES = ('torch', 'timm', 'faiss-cpu', 'numpy')


def report_from_evaluation(
    results: Sequence[MethodResult],
    database: Sequence[Path],
    queries: Sequence[Path],
    positives: Positives,
    subtitle: str,
    *,
    facts: Sequence[tuple[str, str]] = (),
    settings: Mapping[str, Any] | None = None,
    command: str = '',
) -> Report:
    """All methods in table and curves; matches and times of the best one at recall@1."""
    best = max(results, key=lambda r: r.scores.recall[1])
    matched, correct = first_correct(best, positives.right)
    pairs = pairs_from(best, database, queries, positives.right)
    stage_ms = {'describe': best.describe_ms, 'search': best.search_ms}
    if any(best.rerank_ms):
        stage_ms['rerank'] = best.rerank_ms
    total_ms: list[float] = np.sum(list(stage_ms.values()), axis=0).tolist()
    return Report(
        'Place recognition: evaluation',
        subtitle,
        _evaluation_numbers(best, correct, len(database), total_ms),
        results,
        positives.right,
        pairs,
        f'First candidates of {best.name}. {_shown(pairs, correct)}',
        NO_TRUE_KEYFRAME,
        Route(matched, correct, len(database), positives.database_xy_m, positives.queries_xy_m),
        best.similarity,
        stage_ms,
        total_ms,
        [*facts, *environment_facts()],
        settings or {},
        command,
    )


def report_from_localization(
    recognizer: PlaceRecognizer,
    answers: Sequence[Answer],
    subtitle: str = '',
    *,
    tolerance: int | None = None,
    facts: Sequence[tuple[str, str]] = (),
    settings: Mapping[str, Any] | None = None,
    command: str = '',
) -> Report:
    """What a map answered to images.

    Their true places are known by a tolerance alone: right is a keyframe whose number, the last
    one of its name, differs by at most that.
    """
    keyframes = recognizer.place_map.store.everything()
    found = [answer.recognition for answer in answers]
    right = [right_by_number(answer, tolerance) for answer in answers]
    pairs = [_pair(recognizer, answers[i], right[i]) for i in evenly(len(answers), MAX_PAIRS)]
    told = _NO_TRUTH if tolerance is None else _shown(pairs, right)
    note = f'{len(pairs)} of {len(answers)} images, each beside its first candidate. {told}'
    total_ms = [sum(r.stage_ms.values()) for r in found]
    return Report(
        'Place recognition: localization',
        subtitle or f'{len(answers)} images in a map of {len(keyframes):,} keyframes',
        _localization_numbers(found, len(keyframes), total_ms),
        pairs=pairs,
        pairs_note=note,
        route=Route(_matched(found, keyframes), right, len(keyframes), _xy_m(keyframes)),
        stage_ms=_stage_ms(found),
        latency_ms=total_ms,
        facts=[*_identity(recognizer), *facts, *environment_facts()],
        settings=settings or {},
        command=command,
        reliability={} if tolerance is None else {'these images': _reliability(found, right)},
    )


def _matched(found: Sequence[Recognition], keyframes: Sequence[Candidate]) -> NDArray[np.int64]:
    """The row of the keyframe that each image was decided to show, -1 for none."""
    row_of = {k.keyframe_id: row for row, k in enumerate(keyframes)}
    rows = [row_of.get(r.candidates[0].keyframe_id, -1) if r.decision else -1 for r in found]
    return np.array(rows, np.int64)


def _identity(recognizer: PlaceRecognizer) -> list[tuple[str, str]]:
    return [
        ('model fingerprint', recognizer.describer.fingerprint),
        ('map id', recognizer.place_map.manifest.map_id),
    ]


def _stage_ms(found: Sequence[Recognition]) -> dict[str, list[float]]:
    stages = dict.fromkeys(stage for r in found for stage in r.stage_ms)
    return {s: [r.stage_ms[s] for r in found if s in r.stage_ms] for s in stages}


def right_by_number(answer: Answer, tolerance: int | None) -> bool | None:
    """Whether the first candidate's number is near the image's; None where nobody can tell."""
    candidates = answer.recognition.candidates
    if tolerance is None or not candidates:
        return None
    return abs(frame_number(answer.name) - frame_number(candidates[0].name)) <= tolerance


def _reliability(found: Sequence[Recognition], right: Sequence[bool | None]) -> list[Bin]:
    """Of the answers that have a probability and a truth."""
    known = [
        (r.candidates[0].probability, is_right)
        for r, is_right in zip(found, right, strict=True)
        if is_right is not None and r.candidates[0].probability is not None
    ]
    return reliability([p for p, _ in known], [is_right for _, is_right in known])


def _xy_m(keyframes: Sequence[Candidate]) -> NDArray[np.float64] | None:
    """Where the keyframes are (M, 2), if all have a pose."""
    poses = [k.pose for k in keyframes if k.pose]
    return np.array([p.position_m[:2] for p in poses]) if len(poses) == len(keyframes) else None


def environment_facts() -> list[tuple[str, str]]:
    """Date and versions, for the foot of the page."""
    now = datetime.datetime.now().astimezone()
    facts = [('date', now.strftime('%Y-%m-%d %H:%M %Z')), ('Python', platform.python_version())]
    for library in LIBRARIES:
        try:
            facts.append((library, version(library)))
        except PackageNotFoundError:
            facts.append((library, 'not installed as a package'))
    return facts


def _pair(recognizer: PlaceRecognizer, answer: Answer, right: bool | None) -> Pair:
    recognition, decision = answer.recognition, answer.recognition.decision
    note = '' if decision == Decision.MATCH else f'decision {decision.name}'
    if not recognition.candidates:
        return Pair(answer.name, answer.picture, 'no candidate', b'', None, None, note)
    first = recognition.candidates[0]
    picture = recognizer.place_map.store.thumbnail(first.keyframe_id)
    return Pair(answer.name, answer.picture, first.name, picture, first.similarity, right, note)


def _evaluation_numbers(
    best: MethodResult,
    correct: Sequence[bool | None],
    num_database: int,
    total_ms: Sequence[float],
) -> list[BigNumber]:
    num_right, num_none = correct.count(True), correct.count(None)
    none = f'; {num_none} more without a true keyframe' if num_none else ''
    numbers = [
        BigNumber(f'recall@{k}', f'{best.scores.recall[k]:.1f} %', best.name) for k in (1, 5)
    ]
    answerable = f'{num_right} / {len(correct) - num_none}'
    numbers.append(BigNumber('right first candidates', answerable, f'queries{none}'))
    numbers.append(BigNumber('keyframes', f'{num_database:,}', 'in the database'))
    return numbers + _latency_numbers(total_ms)


def _localization_numbers(
    recognitions: Sequence[Recognition], num_keyframes: int, total_ms: Sequence[float]
) -> list[BigNumber]:
    decisions = [r.decision for r in recognitions]
    matched, unknown = decisions.count(Decision.MATCH), decisions.count(Decision.UNKNOWN)
    return [
        BigNumber('matched', f'{matched} / {len(decisions)}', 'decision MATCH'),
        BigNumber('unknown', str(unknown), 'decision UNKNOWN'),
        BigNumber('keyframes', f'{num_keyframes:,}', 'in the map'),
        *_latency_numbers(total_ms),
    ]


def _latency_numbers(latency_ms: Sequence[float]) -> list[BigNumber]:
    if not latency_ms:
        return []
    p50, p95 = np.percentile(latency_ms, (50, 95))
    return [BigNumber('latency', milliseconds(p50), f'median; 95 % within {milliseconds(p95)}')]


def _shown(pairs: Sequence[Pair], correct: Sequence[bool | None]) -> str:
    words = ((False, 'wrong'), (None, 'without a true keyframe'), (True, 'right'))
    counts = [
        (sum(p.correct is value for p in pairs), correct.count(value), word)
        for value, word in words
    ]
    return f'Shown: {", ".join(f"{n} of {total} {word}" for n, total, word in counts if total)}.'

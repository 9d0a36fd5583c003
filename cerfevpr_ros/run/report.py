"""The page that shows a run: pictures, route, similarities, times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.cli.options import track
from cerfevpr_core.config import settings
from cerfevpr_core.data.frames import frame_number
from cerfevpr_core.describer import Descriptor, evenly
from cerfevpr_core.evaluation.pairs import Pair, jpeg_of, write_match_sheet
from cerfevpr_core.evaluation.report import Report, Route, environment_facts, write_report
from cerfevpr_core.recognizer import PlaceRecognizer
from cerfevpr_ros.run.answers import Answers, core_ms
from cerfevpr_ros.run.jobs import Job

MAX_PAIRS = 200  # keeps the page below 15 MB
SHEET_PAIRS = 6


def write_run_report(job: Job, answers: Answers, folder: Path, file: Path, command: str) -> int:
    """Describe the queries once more, in this process, for the similarity matrix and as a check.

    Returns for how many images the nodes gave the core's own first keyframe.
    """
    recognizer = PlaceRecognizer.load(folder)
    ids, vectors = recognizer.place_map.store.vectors()
    asked = {query.name: query for query in _ask_again(job, recognizer)}
    pictures = {name: query.picture for name, query in asked.items()}
    lines = [line for line in answers.lines if line['image'] in asked]
    similarity = np.array([vectors @ asked[line['image']].descriptor for line in lines])
    firsts = [line['keyframe_ids'][0] if line.get('keyframe_ids') else -1 for line in lines]
    agreeing = sum(asked[e['image']].first == i for e, i in zip(lines, firsts, strict=True))
    report = Report(
        'Place recognition: a run through the ROS 2 nodes',
        job.title,
        _numbers(answers),
        right=_right(lines, answers, ids),
        pairs=_pairs(lines, answers, pictures),
        route=_route(job, lines, answers, ids, firsts),
        similarity=similarity.astype(np.float32),
        stage_ms=_stage_ms(lines),
        latency_ms=[line['latency_ms'] for line in lines if line['answered']],
        facts=[
            ('map id', recognizer.place_map.manifest.map_id),
            ('model fingerprint', recognizer.describer.fingerprint),
            ('nodes and core agree', f'on {agreeing} of {len(lines)} first keyframes'),
            *environment_facts(),
        ],
        settings=settings(recognizer.config),
        command=command,
    )
    write_report(report, file)
    sample = [lines[i] for i in evenly(len(lines), SHEET_PAIRS)]
    shown = [_pair(line, answers, pictures) for line in sample]
    write_match_sheet(shown, file.with_name('matches.png'))
    recognizer.close()
    return agreeing


@dataclass(frozen=True)
class _Asked:
    """A query asked in this process: its descriptor (E,), a small jpeg, the first keyframe."""

    name: str
    descriptor: Descriptor
    picture: bytes
    first: int


def _ask_again(job: Job, recognizer: PlaceRecognizer) -> Iterator[_Asked]:
    belief = recognizer.sequence()
    for frame in track(job.query_frames, 'describing the queries for the report', job.num_queries):
        view = recognizer.describe(frame.image)
        first = recognizer.rank(view, 1, belief)[0].keyframe_id
        yield _Asked(frame.name, view.descriptor, jpeg_of(frame.image), first)


def _numbers(answers: Answers) -> list[tuple[str, str, str]]:
    result = answers.result()
    numbers = [('answered', f'{result["answered"]} / {result["images"]}', 'images')]
    if result['recall_at_1'] is not None:
        rule = f'first keyframe within {answers.frame_tolerance} frames'
        numbers.insert(0, ('recall at 1', f'{result["recall_at_1"]:.1f} %', rule))
    if result['latency_ms_p50'] is not None:
        p95 = f'median; 95 % within {result["latency_ms_p95"]:.0f} ms'
        numbers.append(('image to result', f'{result["latency_ms_p50"]:.0f} ms', p95))
        numbers.append(('of which ROS', f'{result["ros_ms_p50"]:.1f} ms', 'median'))
    return numbers


def _right(
    lines: list[dict[str, Any]], answers: Answers, ids: NDArray[np.int64]
) -> NDArray[np.bool_] | None:
    if answers.frame_tolerance is None:
        return None
    queries = np.array([frame_number(line['image']) for line in lines])
    keyframes = np.array([frame_number(answers.keyframes[i].name) for i in ids])
    return np.abs(queries[:, None] - keyframes[None]) <= answers.frame_tolerance


def _pairs(
    lines: list[dict[str, Any]], answers: Answers, pictures: dict[str, bytes]
) -> list[Pair]:
    wrong_first = sorted(lines, key=lambda line: line['right'] is True)
    return [_pair(line, answers, pictures) for line in wrong_first[:MAX_PAIRS]]


def _pair(line: dict[str, Any], answers: Answers, pictures: dict[str, bytes]) -> Pair:
    best = answers.best(line)
    picture = pictures[line['image']]
    if best is None:
        return Pair(line['image'], picture, '', b'', None, line['right'], 'no answer')
    shown = answers.place_map.store.thumbnail(best.keyframe_id)
    truth = _truth(line, answers) if line['right'] is False else None
    return Pair(
        line['image'],
        picture,
        best.name,
        shown,
        line['similarities'][0],
        line['right'],
        truth_jpeg=answers.place_map.store.thumbnail(truth) if truth else None,
        truth_name=answers.keyframes[truth].name if truth else '',
    )


def _truth(line: dict[str, Any], answers: Answers) -> int | None:
    number, tolerance = frame_number(line['image']), answers.frame_tolerance
    apart = {i: abs(frame_number(c.name) - number) for i, c in answers.keyframes.items()}
    nearest = min(apart, key=lambda i: apart[i])
    return nearest if tolerance is not None and apart[nearest] <= tolerance else None


def _route(
    job: Job,
    lines: list[dict[str, Any]],
    answers: Answers,
    ids: NDArray[np.int64],
    firsts: list[int],
) -> Route:
    row_of = {int(keyframe_id): row for row, keyframe_id in enumerate(ids)}
    matched = np.array([row_of.get(i, -1) for i in firsts])
    correct = [line['right'] for line in lines]
    poses = [answers.keyframes[i].pose for i in ids]
    keyframes_xy = np.array([p.position_m[:2] for p in poses if p])
    if len(keyframes_xy) < len(poses):
        return Route(matched, correct, len(ids))
    found = [job.query_poses.find(line['image']) if job.query_poses else None for line in lines]
    queries_xy = np.array([p.position_m[:2] if p else (np.nan, np.nan) for p in found])
    return Route(matched, correct, len(ids), keyframes_xy, queries_xy)


def _stage_ms(lines: list[dict[str, Any]]) -> dict[str, list[float]]:
    answered = [line for line in lines if line['answered']]
    stages = list(answered[0]['stage_ms']) if answered else []
    times = {s: [line['stage_ms'][s] for line in answered] for s in stages}
    other = [line['latency_ms'] - core_ms(line) for line in answered]
    return times | {'ROS, all of it': other} if answered else {}

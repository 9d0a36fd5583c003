"""Run one method over a database and its queries, one image at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.config import Config
from cerfevpr_core.data.frames import Frame
from cerfevpr_core.describer import Describer
from cerfevpr_core.evaluation.methods import NamedMethod
from cerfevpr_core.evaluation.metrics import RECALL_AT, Scores, score
from cerfevpr_core.evaluation.protocol import Positives
from cerfevpr_core.evaluation.searched import Ranking, SearchedDatabase
from cerfevpr_core.images import read_image
from cerfevpr_core.mapping import Track, fit, no_progress


class StrictFrames:
    """Images of a list of files; unlike when mapping, an unreadable one is an error."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Frame]:
        for file in self.files:
            yield Frame(file.name, read_image(file))


@dataclass(frozen=True)
class MethodResult:
    """What one method answered: ranked database indices (Q, K) and similarities (Q, M)."""

    name: str
    descriptor_dim: int
    scores: Scores
    ranked: NDArray[np.int64]
    similarity: NDArray[np.float32]
    describe_ms: list[float] = field(repr=False)
    search_ms: list[float] = field(repr=False)
    rerank_ms: list[float] = field(default_factory=list, repr=False)
    sequence_ms: list[float] = field(default_factory=list, repr=False)
    recall_at_1_by_seed: tuple[float, ...] = ()


def evaluate_methods(
    methods: Sequence[NamedMethod],
    config: Config,
    database: Sequence[Path],
    queries: Sequence[Path],
    positives: Positives,
    num_seeds: int = 1,
    track: Track = no_progress,
) -> list[MethodResult]:
    """All queries against all database images, both described at batch 1.

    Methods that differ in re-ranking alone share what is described. With several seeds, what is
    random in a method (the vocabulary of `vlad`) is drawn anew for each and the scores are
    means; ranks and similarities are those of the last.
    """
    results: dict[NamedMethod, MethodResult] = {}
    for base in dict.fromkeys(method.method for method in methods):
        group = [method for method in methods if method.method == base]
        runs = []
        for seed in range(
            config.vlad.seed, config.vlad.seed + (num_seeds if base == 'vlad' else 1)
        ):
            seeded = replace(config, vlad=replace(config.vlad, seed=seed))
            runs.append(_evaluate_once(group, seeded, database, queries, positives, track))
        for number, method in enumerate(group):
            results[method] = _mean([run[number] for run in runs])
    return [results[method] for method in methods]


def _evaluate_once(
    group: Sequence[NamedMethod],
    config: Config,
    database: Sequence[Path],
    queries: Sequence[Path],
    positives: Positives,
    track: Track,
) -> list[MethodResult]:
    alone = NamedMethod(group[0].method, group[0].method)
    describer = Describer(alone.settings(config))

    def named(frames: Iterable[Frame], what: str, count: int) -> Iterable[Frame]:
        return track(frames, f'{alone.name}: {what}', count)

    fit(describer, StrictFrames(database), named)
    in_order = [number for number, method in enumerate(group) if method.sequence]
    searched = SearchedDatabase(describer, [method.selection for method in group], in_order)
    for frame in named(StrictFrames(database), 'describing the database', len(database)):
        searched.add(frame.image)
    asked = named(StrictFrames(queries), 'localizing the queries', len(queries))
    answers = [searched.answers(frame.image) for frame in asked]
    return [
        _result(
            method.name, searched.descriptor_dim, [each[number] for each in answers], positives
        )
        for number, method in enumerate(group)
    ]


def _result(
    name: str, descriptor_dim: int, answers: Sequence[Ranking], positives: Positives
) -> MethodResult:
    ranked = np.array([answer.ranked for answer in answers])
    similarity = np.stack([answer.similarity for answer in answers])
    first = np.take_along_axis(similarity, ranked[:, :1], axis=1)[:, 0]
    return MethodResult(
        name,
        descriptor_dim,
        score(ranked, first, positives.right),
        ranked,
        similarity,
        [answer.describe_ms for answer in answers],
        [answer.search_ms for answer in answers],
        [answer.rerank_ms for answer in answers],
        [answer.sequence_ms for answer in answers],
    )


def _mean(results: Sequence[MethodResult]) -> MethodResult:
    scores = [r.scores for r in results]
    mean = Scores(
        {k: float(np.mean([s.recall[k] for s in scores])) for k in RECALL_AT},
        float(np.mean([s.precision_at_full_recall for s in scores])),
        float(np.mean([s.average_precision for s in scores])),
    )
    by_seed = tuple(s.recall[1] for s in scores) if len(scores) > 1 else ()
    return replace(results[-1], scores=mean, recall_at_1_by_seed=by_seed)

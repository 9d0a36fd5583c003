"""Run one method over a database and its queries, one image at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.config import Config, Method
from cerfevpr_core.data.frames import Frame
from cerfevpr_core.describer import Describer
from cerfevpr_core.evaluation.metrics import RECALL_AT, Scores, score
from cerfevpr_core.evaluation.protocol import Positives
from cerfevpr_core.images import read_image
from cerfevpr_core.mapping import Track, fit, no_progress
from cerfevpr_core.place_map.index import VectorIndex


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
    recall_at_1_by_seed: tuple[float, ...] = ()


def evaluate_method(
    method: Method,
    config: Config,
    database: Sequence[Path],
    queries: Sequence[Path],
    positives: Positives,
    num_seeds: int = 1,
    track: Track = no_progress,
) -> MethodResult:
    """All queries against all database images, both described at batch 1.

    With several seeds, what is random in a method (the vocabulary of `vlad`) is drawn anew for
    each and the scores are means; ranks and similarities are those of the last.
    """
    seeds = range(config.vlad.seed, config.vlad.seed + (num_seeds if method == 'vlad' else 1))
    results = []
    for seed in seeds:
        seeded = replace(config, method=method, vlad=replace(config.vlad, seed=seed))
        results.append(_evaluate_once(seeded, database, queries, positives, track))
    return _mean(results)


def _evaluate_once(
    config: Config,
    database: Sequence[Path],
    queries: Sequence[Path],
    positives: Positives,
    track: Track,
) -> MethodResult:
    describer = Describer(config)
    name = str(config.method)

    def named(frames: Iterable[Frame], what: str, count: int) -> Iterable[Frame]:
        return track(frames, f'{name}: {what}', count)

    fit(describer, StrictFrames(database), named)
    known = named(StrictFrames(database), 'describing the database', len(database))
    # (M, P, E): P descriptors of each image, of which the best counts
    vectors = np.stack([describer.see_keyframe(frame.image).descriptors for frame in known])
    owners = np.repeat(np.arange(len(vectors)), vectors.shape[1])
    index = VectorIndex.build('flat', owners, vectors.reshape(len(owners), -1))
    ranked, similarity, describe_ms, search_ms = [], [], [], []
    top_k = min(max(RECALL_AT), len(database))
    for frame in named(StrictFrames(queries), 'localizing the queries', len(queries)):
        start = time.perf_counter()
        descriptor = describer.describe(frame.image)
        described = time.perf_counter()
        found = index.search(descriptor, top_k)
        search_ms.append(1000 * (time.perf_counter() - described))
        describe_ms.append(1000 * (described - start))
        ranked.append([row for row, _ in found])
        similarity.append((vectors @ descriptor).max(axis=1))
    order, matrix = np.array(ranked), np.stack(similarity)
    first = np.take_along_axis(matrix, order[:, :1], axis=1)[:, 0]
    scores = score(order, first, positives.right)
    return MethodResult(name, vectors.shape[2], scores, order, matrix, describe_ms, search_ms)


def _mean(results: Sequence[MethodResult]) -> MethodResult:
    scores = [r.scores for r in results]
    mean = Scores(
        {k: float(np.mean([s.recall[k] for s in scores])) for k in RECALL_AT},
        float(np.mean([s.precision_at_full_recall for s in scores])),
        float(np.mean([s.average_precision for s in scores])),
    )
    by_seed = tuple(s.recall[1] for s in scores) if len(scores) > 1 else ()
    return replace(results[-1], scores=mean, recall_at_1_by_seed=by_seed)

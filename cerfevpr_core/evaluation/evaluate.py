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
from cerfevpr_core.images import read_image
from cerfevpr_core.landmarks.rerank import joint_similarity, rerank
from cerfevpr_core.mapping import Track, fit, no_progress
from cerfevpr_core.place_map import Candidate
from cerfevpr_core.place_map.index import VectorIndex
from cerfevpr_core.recognizer import StageClock


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
    recall_at_1_by_seed: tuple[float, ...] = ()


def evaluate_method(
    method: NamedMethod,
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
    num_seeds = num_seeds if method.method == 'vlad' else 1
    results = []
    for seed in range(config.vlad.seed, config.vlad.seed + num_seeds):
        seeded = method.settings(replace(config, vlad=replace(config.vlad, seed=seed)))
        results.append(_evaluate_once(method.name, seeded, database, queries, positives, track))
    return _mean(results)


def _evaluate_once(
    name: str,
    config: Config,
    database: Sequence[Path],
    queries: Sequence[Path],
    positives: Positives,
    track: Track,
) -> MethodResult:
    describer = Describer(config)

    def named(frames: Iterable[Frame], what: str, count: int) -> Iterable[Frame]:
        return track(frames, f'{name}: {what}', count)

    fit(describer, StrictFrames(database), named)
    known = named(StrictFrames(database), 'describing the database', len(database))
    searched = _Searched(describer, known)
    answers = [
        searched.answer(frame)
        for frame in named(StrictFrames(queries), 'localizing the queries', len(queries))
    ]
    ranked = np.array([answer.ranked for answer in answers])
    similarity = np.stack([answer.similarity for answer in answers])
    first = np.take_along_axis(similarity, ranked[:, :1], axis=1)[:, 0]
    return MethodResult(
        name,
        searched.vectors.shape[2],
        score(ranked, first, positives.right),
        ranked,
        similarity,
        [answer.describe_ms for answer in answers],
        [answer.search_ms for answer in answers],
        [answer.rerank_ms for answer in answers],
    )


@dataclass(frozen=True)
class _Answer:
    """To one query: rows of the database, best first, and what they are ordered by (M,)."""

    ranked: list[int]
    similarity: NDArray[np.float32]
    describe_ms: float
    search_ms: float
    rerank_ms: float


class _Searched:
    """A database that is searched, and whose first candidates are re-ranked where that is set."""

    def __init__(self, describer: Describer, frames: Iterable[Frame]) -> None:
        self.describer, self.config = describer, describer.config.landmarks
        vectors, self.landmarks = [], []
        for frame in frames:
            seen = describer.see_keyframe(frame.image)
            vectors.append(seen.descriptors)
            self.landmarks.append(describer.selector.select(seen.patches))
        self.vectors = np.stack(vectors)  # (M, P, E): of an image's P the best counts
        owners = np.repeat(np.arange(len(vectors)), self.vectors.shape[1])
        self.index = VectorIndex.build('flat', owners, self.vectors.reshape(len(owners), -1))
        self.reranks = describer.selector.selection != 'none'
        wanted = max(RECALL_AT, default=1)
        wanted = max(wanted, self.config.num_candidates) if self.reranks else wanted
        self.num_candidates = min(wanted, len(vectors))

    def answer(self, frame: Frame) -> _Answer:
        """One query by itself."""
        clock = StageClock()
        seen = self.describer.see(frame.image)
        clock.stop('describe')
        found = self.index.search(seen.descriptor, self.num_candidates)
        clock.stop('search')
        candidates = [Candidate(row, '', similarity) for row, similarity in found]
        query = self.describer.selector.select(seen.patches)
        if query is not None:
            known = [self.landmarks[row] for row, _ in found]
            candidates = rerank(query, candidates, known, self.config.descriptor_weight)
            clock.stop('rerank')
        times = (clock.stage_ms.get(stage, 0.0) for stage in ('describe', 'search', 'rerank'))
        top_k = min(max(RECALL_AT), len(candidates))
        ranked = [candidate.keyframe_id for candidate in candidates]
        return _Answer(ranked[:top_k], self._similarity(seen.descriptor, candidates), *times)

    def _similarity(
        self, descriptor: NDArray[np.float32], candidates: Sequence[Candidate]
    ) -> NDArray[np.float32]:
        """Of the whole database (M,), comparable with that of re-ranked candidates."""
        similarity = (self.vectors @ descriptor).max(axis=1)
        if self.reranks:
            weight = self.config.descriptor_weight
            similarity *= weight / (1 + weight)
            for candidate in candidates:
                similarity[candidate.keyframe_id] = joint_similarity(candidate, weight)
        return similarity


def _mean(results: Sequence[MethodResult]) -> MethodResult:
    scores = [r.scores for r in results]
    mean = Scores(
        {k: float(np.mean([s.recall[k] for s in scores])) for k in RECALL_AT},
        float(np.mean([s.precision_at_full_recall for s in scores])),
        float(np.mean([s.average_precision for s in scores])),
    )
    by_seed = tuple(s.recall[1] for s in scores) if len(scores) > 1 else ()
    return replace(results[-1], scores=mean, recall_at_1_by_seed=by_seed)

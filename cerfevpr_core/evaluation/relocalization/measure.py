"""Run every combination of candidates and matching over the queries of a set."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.config import Config
from cerfevpr_core.data.relocalization import PosedFrame, RelocalizationSet, pose_error, some
from cerfevpr_core.describer import evenly
from cerfevpr_core.verification.keypoints import Kind
from cerfevpr_core.verification.matching import Matches

from .candidates import Candidates, LandmarkCandidates, WordCandidates, Words
from .locate import Locator, Map
from .matchings import Anywhere, InRegions, InWords, Matching
from .result import Answer, Benchmark, Row
from .seen import WORDS, Looker, Seen

# Shows how far it is: (frames, what is done, how many) -> the same frames.
Track = Callable[[Iterable[PosedFrame], str, int], Iterable[PosedFrame]]


def measure(
    data: RelocalizationSet, config: Config, kinds: Sequence[Kind], every: int, track: Track
) -> Benchmark:
    """Every `every`-th query of each condition against the whole map, one at a time."""
    looker = Looker(config, dict.fromkeys((WORDS, *kinds)))
    keyframes, words = _map(data, looker, track)
    trial = Trial(Map(keyframes, config.verification), words, config, kinds)
    answers: dict[str, list[list[Answer]]] = {}
    for condition, frames in data.queries.items():
        numbers = range(0, len(frames), every)
        tracked = track(some(frames, numbers), condition, len(numbers))
        queries = (words.applied(looker.look(frame, frames.camera)) for frame in tracked)
        answers[condition] = [trial.answers(q, _right(data, q, keyframes)) for q in queries]
    rows = [
        Row(source.name, matching.name, matching.kind, _column(answers, i))
        for i, (source, matching) in enumerate(trial.combinations)
    ]
    num_with_points = sum(k.keypoints[WORDS].has_point.any() for k in keyframes)
    return Benchmark(
        data.name,
        len(keyframes),
        int(num_with_points),
        str(data.nearby),
        words.vocabulary.num_words,
        looker.describer.selector.selection,
        rows,
    )


class Trial:
    """All combinations of candidates and matching, which answer one query after another."""

    def __init__(self, built: Map, words: Words, config: Config, kinds: Sequence[Kind]) -> None:
        self.map, self.config = built, config
        self.locator = Locator(config.verification)
        keyframes = built.keyframes
        sources = (
            WordCandidates(words, keyframes),
            LandmarkCandidates(keyframes, config.landmarks),
        )
        matchings = [m for kind in kinds for m in _matchings(config, kind)]
        self.combinations: list[tuple[Candidates, Matching]] = [
            (source, matching) for source in sources for matching in matchings
        ]

    def answers(self, query: Seen, right: NDArray[np.bool_]) -> list[Answer]:
        """One of each combination; `right` (M,) says which keyframes are correct.

        Candidates and matches that several combinations share are made once, and their time
        counts in each.
        """
        searched: dict[str, tuple[list[int], float]] = {}
        matched: dict[tuple[str, Kind, int], tuple[Matches, float]] = {}
        answers = []
        num_candidates = self.config.verification.num_candidates
        for source, matching in self.combinations:
            if source.name not in searched:
                searched[source.name] = _timed(source.search, query, num_candidates)
            found, search_ms = searched[source.name]
            keys = [(matching.name, matching.kind, i) for i in self.map.around(found)]
            for key in keys:
                if key not in matched:
                    keyframe = self.map.keyframes[key[2]]
                    matched[key] = _timed(matching.match, query, keyframe)
            error, locate_ms = self._error(query, found, matching, [matched[k][0] for k in keys])
            parts = {*source.needs, *matching.needs}
            ms = sum(query.ms[part] for part in parts) + search_ms + locate_ms
            ms += sum(matched[key][1] for key in keys)
            names = [self.map.keyframes[i].name for i in found]
            found_right, has_right = bool(right[found].any()), bool(right.any())
            answers.append(Answer(query.name, names, found_right, has_right, error, ms))
        return answers

    def _error(
        self, query: Seen, found: list[int], matching: Matching, matches: Sequence[Matches]
    ) -> tuple[tuple[float, float] | None, float]:
        """How far the pose is from the true one, and the milliseconds it took."""
        kind = matching.kind
        candidates = [self.map.candidate(i, kind) for i in found]
        by_id = dict(zip(self.map.around(found), matches, strict=True))
        pose, ms = _timed(self.locator.locate, query, kind, candidates, by_id)
        return pose_error(pose, query.pose) if pose else None, ms


def _map(data: RelocalizationSet, looker: Looker, track: Track) -> tuple[list[Seen], Words]:
    frames, count = data.keyframes, len(data.keyframes)
    describer = looker.describer
    if describer.needs_fit:
        chosen = evenly(count, describer.fit_images)
        tracked = track(some(frames, chosen), 'fitting to the map', len(chosen))
        describer.fit(frame.image for frame in tracked)
    tracked = track(some(frames), 'describing the map', count)
    seen = [looker.look(frame, frames.camera, is_keyframe=True) for frame in tracked]
    words = Words(seen)
    return [words.applied(each) for each in seen], words


def _matchings(config: Config, kind: Kind) -> list[Matching]:
    others: list[Matching] = [InRegions(config.verification, kind)]
    others.append(Anywhere(config.verification, kind))
    return [InWords(), *others] if kind == WORDS else others


def _right(data: RelocalizationSet, query: Seen, keyframes: Sequence[Seen]) -> NDArray[np.bool_]:
    return data.nearby.right(query.pose, [keyframe.pose for keyframe in keyframes])


def _column(answers: dict[str, list[list[Answer]]], number: int) -> dict[str, list[Answer]]:
    return {name: [each[number] for each in some] for name, some in answers.items()}


def _timed(call: Callable, *given: object) -> tuple:
    """What a call returns, and its milliseconds."""
    start = time.perf_counter()
    result = call(*given)
    return result, 1000 * (time.perf_counter() - start)

"""How long it takes to match landmarks: all candidates at once, and by a plain loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cerfevpr_core.landmarks import Landmarks, match_landmarks
from cerfevpr_core.landmarks.landmarks import pack, select, unpack

_TIMES = 50


@dataclass(frozen=True)
class LandmarkTimes:
    """Medians in milliseconds, for all candidates of one query."""

    read_ms: float  # unpacking what the map keeps
    match_ms: float
    loop_ms: float
    furthest: float  # largest difference of a similarity between the two


def measure_times(
    num_landmarks: int, num_candidates: int, dim: int = 120, side: int = 14
) -> LandmarkTimes:
    """On random features of `side` x `side` cells, half of each candidate's those of the query."""
    rng = np.random.default_rng(0)

    def image(shared: np.ndarray | None = None) -> Landmarks:
        features = rng.standard_normal((dim, side, side), np.float32)
        if shared is not None:
            features[:, : side // 2] = shared[:, : side // 2]
        return select(features, rng.random((side, side), np.float32), num_landmarks)

    seen = rng.standard_normal((dim, side, side), np.float32)
    query = select(seen, rng.random((side, side), np.float32), num_landmarks)
    blobs = [pack(image(seen)) for _ in range(num_candidates)]
    candidates = [unpack(blob) for blob in blobs]
    start = time.perf_counter()
    plain = [plain_similarity(query, candidate) for candidate in candidates]
    loop_ms = 1000 * (time.perf_counter() - start)
    found = [matches.similarity for matches in match_landmarks(query, candidates)]
    return LandmarkTimes(
        _median_ms(lambda: [unpack(blob) for blob in blobs]),
        _median_ms(lambda: match_landmarks(query, candidates)),
        loop_ms,
        float(np.abs(np.array(plain) - found).max()),
    )


def _median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def plain_similarity(query: Landmarks, candidate: Landmarks) -> float:
    """Eqs 3 to 5 as they are written, pair by pair: slow, to compare with."""
    pairs = []
    for i in range(len(query)):
        values = [float(query.features[i] @ f) for f in candidate.features]
        j = int(np.argmax(values))
        back = [float(candidate.features[j] @ f) for f in query.features]
        if int(np.argmax(back)) == i:
            dx = int(query.columns[i]) - int(candidate.columns[j])
            dy = int(query.rows[i]) - int(candidate.rows[j])
            pairs.append((values[j], dx, dy))
    counts: dict[tuple[int, int], int] = {}
    for _, dx, dy in pairs:
        counts[dx, dy] = counts.get((dx, dy), 0) + 1
    most = max(counts.values(), default=0)
    if most < 2:
        return sum(s for s, _, _ in pairs) / max(len(pairs), 1)
    modes = [mode for mode, number in counts.items() if number == most]
    mx, my = min(modes, key=lambda m: (m[0] ** 2 + m[1] ** 2, m[1], m[0]))
    return sum(s * math.exp(-0.5 * ((dx - mx) ** 2 + (dy - my) ** 2)) for s, dx, dy in pairs)

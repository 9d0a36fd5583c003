"""Recall and precision of ranked candidates, in percent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve

RECALL_AT = (1, 5, 10, 20)


@dataclass(frozen=True)
class Scores:
    """Percentages: recall over the queries that have a right answer, precision over all."""

    recall: dict[int, float]
    precision_at_full_recall: float
    average_precision: float


def score(
    ranked: NDArray[np.int64], similarity: NDArray[np.float32], right: NDArray[np.bool_]
) -> Scores:
    """Ranked database indices (Q, K), similarity of the first (Q,), positives (Q, M) -> Scores.

    A query is right at K if one of its first K candidates is. Precision and recall are those of
    the landmark paper: a threshold on the first candidate's similarity accepts queries, and
    recall is the accepted share of the right first candidates; at full recall every query is
    answered.
    """
    answerable = right.any(axis=1)
    hits = np.take_along_axis(right, ranked, axis=1)[answerable]
    if not len(hits):
        return Scores(dict.fromkeys(RECALL_AT, 0.0), 0.0, 0.0)
    recall = {k: 100 * float(hits[:, :k].any(axis=1).mean()) for k in RECALL_AT}
    first = np.take_along_axis(right, ranked, axis=1)[:, 0]  # of every query: all are answered
    average = average_precision_score(first, similarity) if first.any() else 0.0
    return Scores(recall, 100 * float(first.mean()), 100 * float(average))


def precision_recall(
    ranked: NDArray[np.int64], similarity: NDArray[np.float32], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The curve behind `score`: precision and recall in percent, over all thresholds."""
    first = np.take_along_axis(right, ranked, axis=1)[:, 0]
    if not first.any():
        return np.zeros(2), np.array([100.0, 0.0])
    precision, recall, _ = precision_recall_curve(first, similarity)
    return 100 * precision, 100 * recall

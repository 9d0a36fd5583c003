"""What speaks for the first candidate, and what against it, as numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cerfevpr_core.calibration.same_place import SamePlace
from cerfevpr_core.place_map import Candidate

PLAIN = ('similarity', 'similarity_margin')
LANDMARKS = ('landmarks', 'landmarks_margin')
BELIEF = ('belief',)
GEOMETRY = ('inliers', 'inlier_ratio', 'verified')
_LEAST_BELIEF = 1e-3


def rival_of(
    candidate: Candidate, candidates: Sequence[Candidate], same: SamePlace
) -> Candidate | None:
    """The best candidate that shows another place; None where all stand around this one."""
    return next((c for c in candidates if same.parts(candidate, c)), None)


def features_of(
    candidate: Candidate, candidates: Sequence[Candidate], same: SamePlace
) -> dict[str, float]:
    """Of a candidate among all that were found, best first; what is not known is left out.

    A margin is to the best candidate of another place. Where there is none among so many, others
    are at most as similar as the last one.
    """
    rivals = [c for c in candidates if same.parts(candidate, c)] or [candidates[-1]]
    features = {
        'similarity': candidate.similarity,
        'similarity_margin': candidate.similarity - max(c.similarity for c in rivals),
    }
    if candidate.landmark_similarity is not None:
        best = max(c.landmark_similarity or 0.0 for c in rivals)
        features['landmarks'] = candidate.landmark_similarity
        features['landmarks_margin'] = candidate.landmark_similarity - best
    if candidate.belief is not None:
        features['belief'] = _log_odds(candidate.belief)
    if candidate.num_inliers is not None and candidate.inlier_ratio is not None:
        features['inliers'] = math.log1p(candidate.num_inliers)
        features['inlier_ratio'] = candidate.inlier_ratio
        features['verified'] = float(candidate.verified)
    return features


def _log_odds(chance: float) -> float:
    """Bounded: a belief of many images is no surer than that."""
    bounded = min(max(chance, _LEAST_BELIEF), 1 - _LEAST_BELIEF)
    return math.log(bounded / (1 - bounded))

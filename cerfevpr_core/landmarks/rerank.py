"""Candidates of a search, put in order by their landmarks (section III-B)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from cerfevpr_core.landmarks.landmarks import Landmarks
from cerfevpr_core.landmarks.similarity import match_landmarks
from cerfevpr_core.place_map.keyframes import Candidate

log = logging.getLogger(__name__)


def rerank(
    query: Landmarks,
    candidates: Sequence[Candidate],
    landmarks: Sequence[Landmarks | None],
    descriptor_weight: float,
) -> list[Candidate]:
    """The candidates with their landmark similarities, best first; `landmarks` are theirs.

    They stay as they are where one of them has no landmarks, since nothing would be comparable.
    """
    known = [each for each in landmarks if each is not None]
    if len(known) < len(candidates):
        log.warning('not re-ranked: keyframes of the map have no landmarks; build the map again')
        return list(candidates)
    found = [
        replace(
            candidate,
            landmark_matches=matches,
            landmark_similarity=matches.similarity / max(len(query), 1),
        )
        for candidate, matches in zip(candidates, match_landmarks(query, known), strict=True)
    ]
    return sorted(found, key=lambda c: -joint_similarity(c, descriptor_weight))


def joint_similarity(candidate: Candidate, descriptor_weight: float) -> float:
    """What candidates are ordered by: the mean of both similarities, one of them weighted.

    A candidate that was not matched by landmarks counts as one without any in common.
    """
    landmarks = candidate.landmark_similarity or 0.0
    return (landmarks + descriptor_weight * candidate.similarity) / (1 + descriptor_weight)

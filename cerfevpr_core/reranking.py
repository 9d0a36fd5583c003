"""Candidates of a search in the order of their landmarks, with the regions that matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cerfevpr_core.config import LandmarksConfig
from cerfevpr_core.landmarks.landmarks import Landmarks
from cerfevpr_core.landmarks.rerank import rerank
from cerfevpr_core.place_map import Candidate, PlaceMap
from cerfevpr_core.verification import matched_regions
from cerfevpr_core.view import View


def rerank_first(
    view: View, candidates: Sequence[Candidate], place_map: PlaceMap, config: LandmarksConfig
) -> list[Candidate]:
    """The first ones by their landmarks; what was found beyond them stays behind."""
    query, number = view.landmarks, config.num_candidates
    if query is None:
        return list(candidates)
    first, rest = candidates[:number], candidates[number:]
    ids = [candidate.keyframe_id for candidate in first]
    known = dict(zip(ids, place_map.landmarks(ids), strict=True))
    ranked = rerank(query, first, list(known.values()), config.descriptor_weight)
    return [*(_with_regions(c, view, known[c.keyframe_id]) for c in ranked), *rest]


def _with_regions(candidate: Candidate, view: View, landmarks: Landmarks | None) -> Candidate:
    """The candidate with the regions in which it matched, in pixels of both images."""
    matches = candidate.landmark_matches
    if matches is None or landmarks is None or view.landmarks is None:
        return candidate
    sizes = view.image.shape[:2], candidate.size_px
    regions = matched_regions(matches, view.landmarks, landmarks, *sizes)
    return replace(candidate, regions=regions)

"""Matches with the keyframes of some candidates in, the pose of the query out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.data.relocalization import pose_error
from cerfevpr_core.geometry import Pose
from cerfevpr_core.verification.keypoints import Kind
from cerfevpr_core.verification.map_view import CandidateView, MapView
from cerfevpr_core.verification.matching import Matches
from cerfevpr_core.verification.pnp import PnpSolution
from cerfevpr_core.verification.verify import Place, Verifier, _best, _query

from .seen import WORDS, Seen


class Map:
    """The keyframes of a map, with those that see the same as each."""

    def __init__(self, keyframes: Sequence[Seen], config: VerificationConfig) -> None:
        self.keyframes = keyframes
        self.neighbours = [_neighbours(i, keyframes, config) for i in range(len(keyframes))]

    def candidate(self, number: int, kind: Kind) -> CandidateView:
        """A keyframe with its neighbours, as verification takes them."""
        views = [self._view(i, kind) for i in (number, *self.neighbours[number])]
        return CandidateView(views[0], tuple(views[1:]))

    def around(self, numbers: Iterable[int]) -> list[int]:
        """Keyframes and their neighbours, each once."""
        return list(dict.fromkeys(i for n in numbers for i in (n, *self.neighbours[n])))

    def _view(self, number: int, kind: Kind) -> MapView:
        seen = self.keyframes[number]
        return MapView(number, seen.keypoints[kind], seen.pose, seen.camera)


class Locator(Verifier):
    """The verifier's way from matches to a pose; the matches are made elsewhere."""

    def locate(
        self,
        seen: Seen,
        kind: Kind,
        candidates: Sequence[CandidateView],
        matches: Mapping[int, Matches],
    ) -> Pose | None:
        """The query's camera in the map. Unverified means no pose.

        `matches` are those with the candidates and their neighbours, by keyframe id.
        """
        query = _query(seen.keypoints[kind], seen.size, seen.camera)
        views = {v.keyframe_id: v for c in candidates for v in (*c.neighbours, c.keyframe)}
        best = _best(self._places(query, candidates, views, dict(matches)))
        if not isinstance(best, Place):
            return None
        assert isinstance(best.solved, PnpSolution)
        return Pose.from_matrix(best.solved.pose)


def _neighbours(number: int, keyframes: Sequence[Seen], config: VerificationConfig) -> list[int]:
    """The nearest other keyframes that look the same way and have points to give."""
    errors = np.array([pose_error(keyframes[number].pose, k.pose) for k in keyframes])
    distances = np.where(errors[:, 1] <= config.max_neighbour_turn_deg, errors[:, 0], np.inf)
    has_points = np.array([k.keypoints[WORDS].has_point.any() for k in keyframes])
    distances[~has_points] = np.inf
    distances[number] = np.inf
    near = np.argsort(distances, kind='stable')[: config.num_neighbours]
    return [int(i) for i in near if np.isfinite(distances[i])]

"""Each new keyframe of a growing map in; the loop that it closes out, or why it closes none."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from cerfevpr_core.config import Config
from cerfevpr_core.errors import MapError
from cerfevpr_core.loop_closure.agreement import Agreement
from cerfevpr_core.loop_closure.closure import LoopAnswer, LoopClosure
from cerfevpr_core.loop_closure.past import Past
from cerfevpr_core.place_map import Candidate, PlaceMap
from cerfevpr_core.relocalizer import Relocalized, Relocalizer
from cerfevpr_core.reranking import rerank_first
from cerfevpr_core.uncertain_pose import UncertainPose, inverse
from cerfevpr_core.view import View


class LoopCloser:
    """Looks for the places of a map that its newest keyframes show again.

    Raises MapError for a map without keypoints, with which nothing can be verified.
    """

    def __init__(self, config: Config, place_map: PlaceMap) -> None:
        if place_map.manifest.settings.get('verification.mode') != 'always':
            raise MapError(
                'the map keeps no keypoints, without which no loop closure can be verified; make '
                'it with verification.mode=always, or set loop.enabled to false'
            )
        self.config, self.place_map = config, place_map
        loop = config.loop
        self.relocalizer = Relocalizer(
            replace(
                config.verification,
                min_order=loop.min_order,
                num_candidates=loop.num_candidates,
            ),
            place_map,
        )
        self.past = Past.of(place_map)
        self.agreement = Agreement(loop)
        self.told: deque[LoopClosure] = deque(maxlen=max(loop.quiet_images, 1))  # others are far

    def update(self, keyframe_id: int, view: View) -> LoopAnswer:
        """The newest keyframe, which is in the map already, and what its image showed."""
        newest = self._catch_up(keyframe_id)
        if newest is None:
            return LoopAnswer(None, 'the keyframe is no longer in the map')
        candidates = self._search(keyframe_id, view)
        if not candidates:
            self.agreement.update(keyframe_id, [], self.past)
            return LoopAnswer(None, 'no keyframe is old enough')
        verified = self._verify(newest, view, candidates)
        matched = [c for c in verified.candidates if self._has_enough(c)]
        agreed = self.agreement.update(keyframe_id, [c.keyframe_id for c in matched], self.past)
        tried = tuple(verified.candidates[: self.config.loop.num_candidates])
        best = self._best(matched, agreed)
        if best is None:
            return LoopAnswer(None, self._reason(tried, agreed), candidates=tried)
        found = _closure(newest, best, verified)
        if self._is_told(found):
            reason = f'the closure with keyframe {found.to_id} was told a moment ago'
            return LoopAnswer(None, reason, found, tried)
        self.told.append(found)
        return LoopAnswer(found, '', found, tried)

    def _catch_up(self, keyframe_id: int) -> Candidate | None:
        """Take the keyframes up to the newest into the past, also those nobody asked about."""
        last = self.past.ids[-1] if self.past.ids else 0
        newer = ((number, 0.0) for number in range(last + 1, keyframe_id + 1))
        for each in self.place_map.store.candidates(newer):
            self.past.add(each.keyframe_id, each.stamp_ns, each.pose, each.traverse)
        known = self.place_map.store.candidates([(keyframe_id, 0.0)])
        return known[0] if known else None

    def _search(self, keyframe_id: int, view: View) -> list[Candidate]:
        """Keyframes that are old enough, re-ranked, best first."""
        wanted = max(self.config.loop.num_candidates, self.config.landmarks.num_candidates)
        # Neither those count that were added while this one waited for its turn.
        newer = max(len(self.place_map) - len(self.past.ids), 0)
        recent = self.past.num_recent(keyframe_id, self.config.loop) + newer
        found = [
            c
            for c in self.place_map.search(view.descriptor, wanted + recent)
            if c.keyframe_id in self.past.moments
            and not self.past.is_recent(keyframe_id, c.keyframe_id, self.config.loop)
        ]
        return rerank_first(view, found[:wanted], self.place_map, self.config.landmarks)

    def _verify(
        self, newest: Candidate, view: View, candidates: Sequence[Candidate]
    ) -> Relocalized:
        """With the keyframes made just before and after each: only they share its drift."""
        keypoints, around = view.keypoints, {}
        if keypoints is None:
            keypoints = self.relocalizer.detector.detect(view.image)
        if keypoints.has_point.any():  # a robot without depth has no points that could join
            around = {c.keyframe_id: self._beside(newest, c) for c in candidates}
        (camera,) = self.place_map.store.cameras([newest.keyframe_id])
        return self.relocalizer.verify(keypoints, view.image.shape[:2], camera, candidates, around)

    def _beside(self, newest: Candidate, candidate: Candidate) -> list[int]:
        """Without recent ones: these see what the newest does, from where it is taken to be."""
        number = self.config.verification.num_neighbours
        return [
            i
            for i in self.past.beside(candidate.keyframe_id, number)
            if not self.past.is_recent(newest.keyframe_id, i, self.config.loop)
        ]

    def _has_enough(self, candidate: Candidate) -> bool:
        """Whether it may count: a pose in metres has passed bars of its own."""
        enough = (candidate.num_inliers or 0) >= self.config.loop.min_inliers
        return candidate.verified and (candidate.scale_known or enough)

    def _best(self, matched: Sequence[Candidate], agreed: Sequence[int]) -> Candidate | None:
        """The one with most inliers among those with enough, alone or with the images before."""
        loop = self.config.loop
        enough = [
            candidate
            for candidate, num_images in zip(matched, agreed, strict=True)
            if num_images >= loop.min_consecutive
            or (candidate.num_inliers or 0) >= loop.sure_inliers
        ]
        return max(enough, key=lambda c: c.num_inliers or 0, default=None)

    def _reason(self, tried: Sequence[Candidate], agreed: Sequence[int]) -> str:
        if agreed:
            wanted = self.config.loop.min_consecutive
            return f'verified, but {max(agreed)} images in a row agree on a place, not {wanted}'
        best = max(tried, key=lambda c: (c.verified, c.num_inliers or 0))
        fewer = f'{best.num_inliers} inliers, fewer than {self.config.loop.min_inliers}'
        return f'no candidate is verified; of the best: {best.reject_reason or fewer}'

    def _is_told(self, found: LoopClosure) -> bool:
        quiet = self.config.loop.quiet_images
        ends = ((t.from_id, found.from_id, t.to_id, found.to_id) for t in self.told)
        return any(
            _within(self.past.apart(a, b), quiet) and _within(self.past.apart(c, d), quiet)
            for a, b, c, d in ends
        )


def _within(apart: int | None, limit: int) -> bool:
    return apart is not None and apart < limit


def _closure(newest: Candidate, best: Candidate, verified: Relocalized) -> LoopClosure:
    covariance = None
    if best.scale_known and verified.pose is not None and best.pose is not None:
        known = UncertainPose(verified.pose.pose, verified.pose.covariance)
        covariance = known.seen_from(inverse(best.pose)).covariance
    return LoopClosure(
        newest.keyframe_id,
        best.keyframe_id,
        best.similarity,
        best.num_inliers or 0,
        newest.external_id,
        best.external_id,
        best.relative_pose,
        best.scale_known,
        covariance,
        best.probability,
    )

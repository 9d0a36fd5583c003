"""Candidates in, what geometry says of them and the pose of the query out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.verification.agreement import agreement
from cerfevpr_core.verification.cameras import fault, pixel_unit, undistort
from cerfevpr_core.verification.keypoints import Keypoints
from cerfevpr_core.verification.map_view import (
    CandidateView,
    MapView,
    PoseEstimate,
    Verification,
    Verified,
)
from cerfevpr_core.verification.matching import Matches, match
from cerfevpr_core.verification.pnp import PnpSolution, Refusal, solve, spread_fault
from cerfevpr_core.verification.pool import groups, pooled, usable
from cerfevpr_core.verification.refine import project
from cerfevpr_core.verification.support import Support, coverage, log_chance
from cerfevpr_core.verification.two_view import Array, two_view

_LOOKED_AT = 3  # keyframes with most inliers, in which the rest of the image is looked for
_RIVAL = 0.7  # of the inliers of the best place: another with as many makes both doubtful


@dataclass(frozen=True)
class Query:
    """The image asked about: keypoints, their ideal pixels, size (height, width), camera."""

    keypoints: Keypoints
    ideal_px: Array
    size_px: tuple[int, int]
    camera: Camera | None
    camera_fault: str | None


@dataclass(frozen=True)
class Place:
    """Keyframes that see one place, the pose there, and whose its inliers are, most first."""

    keyframe_ids: list[int]
    solved: PnpSolution | Refusal
    seen_ids: tuple[int, ...] = ()


class Verifier:
    """Geometric verification under its settings; the same input gives the same answer."""

    def __init__(self, config: VerificationConfig) -> None:
        self.config = config

    def verify(
        self,
        keypoints: Keypoints,
        size_px: tuple[int, int],
        camera: Camera | None,
        candidates: Sequence[CandidateView],
    ) -> Verified:
        """The keypoints of an image of this size (height, width), and its candidates in order.

        The pose comes from the 3-D points of candidates and their neighbours together, by PnP.
        """
        query = _query(keypoints, size_px, camera)
        views = {v.keyframe_id: v for c in candidates for v in (*c.neighbours, c.keyframe)}
        matches = {
            i: match(keypoints, view.keypoints, view.regions, self.config)
            for i, view in views.items()
        }
        places = self._places(query, candidates, views, matches)
        best = _best(places)
        found = [
            self._of_candidate(query, c.keyframe, matches[c.keyframe.keyframe_id], places, best)
            for c in candidates
        ]
        if isinstance(best, Refusal):
            return Verified(found, None, best.reason)
        return Verified(found, _estimate(best), None)

    def _places(
        self,
        query: Query,
        candidates: Sequence[CandidateView],
        views: dict[int, MapView],
        matches: dict[int, Matches],
    ) -> list[Place]:
        """Each place that candidates show, with the pose there or why there is none."""
        grouped = groups(candidates)
        if reason := _no_pose_reason(query, candidates, views, matches):
            return [Place(ids, Refusal(reason, is_place=True)) for ids in grouped or [[]]]
        assert query.camera is not None
        places = []
        for ids in grouped:
            seen = [views[i] for i in ids]
            pool = pooled(query.ideal_px, query.camera, seen, matches, self.config)
            # Without points there is no PnP that could refuse the place.
            if not len(pool):
                reason = 'no match has a 3-D point in the map'
                places.append(Place(ids, Refusal(reason, is_place=True)))
                continue
            solved = solve(pool, query.camera, self.config)
            if isinstance(solved, Refusal):
                places.append(Place(ids, solved))
                continue
            counted = Counter(pool.keyframes[solved.inliers].tolist()).most_common()
            place = Place(ids, solved, tuple(keyframe for keyframe, _ in counted))
            places.append(self._looked_at(place, solved, query, views))
        return places

    def _looked_at(
        self, place: Place, solved: PnpSolution, query: Query, views: dict[int, MapView]
    ) -> Place:
        """The place, or its refusal where the map looks otherwise than the image."""
        assert query.camera is not None
        height, width = query.size_px
        share = agreement(
            query.keypoints,
            query.ideal_px,
            query.camera,
            solved.pose,
            [views[i] for i in place.seen_ids[:_LOOKED_AT]],
            self.config.max_error_px * pixel_unit(width, height),
        )
        if share >= self.config.min_agreement:
            # Asked last: what looks otherwise is no place, however uncertain.
            if uncertain := spread_fault(solved.covariance, self.config):
                return Place(place.keyframe_ids, Refusal(uncertain, is_place=True))
            return place
        reason = (
            f'of the map in view {share:.2f} looks like the image there, '
            f'below {self.config.min_agreement:g}'
        )
        return Place(place.keyframe_ids, Refusal(reason, support=solved.support))

    def _of_candidate(
        self,
        query: Query,
        view: MapView,
        matches: Matches,
        places: Sequence[Place],
        best: Place | Refusal,
    ) -> Verification:
        if not len(query.keypoints) or not len(view.keypoints):
            whose = 'image' if not len(query.keypoints) else 'keyframe'
            return Verification(False, 0, 0.0, 0.0, f'the {whose} has no keypoints')
        if query.keypoints.kind != view.keypoints.kind:
            kinds = f'{query.keypoints.kind}, those of the keyframe {view.keypoints.kind}'
            return Verification(False, 0, 0.0, 0.0, f'the keypoints of the image are {kinds}')
        if isinstance(best, Place) and view.pose is not None:
            assert isinstance(best.solved, PnpSolution)
            return self._under_pose(query, view, matches, best.solved)
        own = next(place.solved for place in places if view.keyframe_id in place.keyframe_ids)
        if isinstance(own, Refusal) and not own.is_place:  # two views would ask for less
            return _verification(own.support, own.reason, None, False)
        return self._by_two_views(query, view, matches)

    def _under_pose(
        self, query: Query, view: MapView, matches: Matches, solution: PnpSolution
    ) -> Verification:
        """The matches whose points fit the query's pose; no other model is looked for."""
        assert query.camera is not None and view.pose is not None
        alone = pooled(
            query.ideal_px, query.camera, [view], {view.keyframe_id: matches}, self.config
        )
        if len(alone) < self.config.min_inliers:  # too few points: the keyframe has no depth
            return self._by_two_views(query, view, matches)
        pixels, depth = project(query.camera, solution.pose, alone.observations.points_m)
        errors = np.linalg.norm(pixels - alone.observations.seen_px, axis=1)
        height, width = query.size_px
        limit = self.config.max_error_px * pixel_unit(width, height)
        fits = (errors <= limit) & (depth > 0)
        number = int(fits.sum())
        chance = log_chance(number, len(alone), np.pi * limit**2 / (width * height), 0)
        covered = coverage(alone.observations.seen_px[fits], width, height)
        support = Support(number, number / len(alone), covered, chance)
        relative = np.linalg.inv(view.pose.matrix()) @ solution.pose
        # The pose has passed all bars: a keyframe needs only to belong to it.
        enough = number >= self.config.min_inliers and chance <= self.config.max_log_chance
        reason = f'{number} of its {len(alone)} matches fit the pose' if not enough else None
        return _verification(support, reason, Pose.from_matrix(relative) if enough else None, True)

    def _by_two_views(self, query: Query, view: MapView, matches: Matches) -> Verification:
        cameras = (query.camera, view.camera) if query.camera and view.camera else None
        of_query, of_keyframe = matches.pairs.T
        seen = query.keypoints.positions_px[of_query].astype(np.float64)
        kept = view.keypoints.positions_px[of_keyframe].astype(np.float64)
        if cameras is not None:
            seen, kept = query.ideal_px[of_query], undistort(cameras[1], kept.astype(np.float32))
        known = np.isfinite(seen).all(axis=1) & np.isfinite(kept).all(axis=1)
        found = two_view(seen[known], kept[known], query.size_px, cameras, self.config)
        if len(matches) < self.config.min_inliers:
            reason: str | None = f'{len(matches)} matches, fewer than {self.config.min_inliers}'
        else:
            reason = found.support.fault(self.config)
        relative = None if reason else found.relative
        return _verification(found.support, reason, relative, False, found.relative_fault)


def _verification(
    support: Support,
    reason: str | None,
    relative: Pose | None,
    scale_known: bool,
    relative_reason: str | None = None,
) -> Verification:
    return Verification(
        reason is None,
        support.num_inliers,
        support.inlier_ratio,
        support.coverage,
        reason,
        relative,
        scale_known and relative is not None,
        None if relative else relative_reason or reason,
    )


def _query(keypoints: Keypoints, size_px: tuple[int, int], camera: Camera | None) -> Query:
    height, width = size_px
    wrong = fault(camera, width, height) if camera else None
    usable_camera = None if wrong else camera
    positions = keypoints.positions_px
    ideal = undistort(usable_camera, positions) if usable_camera else positions.astype(np.float64)
    return Query(keypoints, ideal, size_px, usable_camera, wrong)


def _no_pose_reason(
    query: Query,
    candidates: Sequence[CandidateView],
    views: dict[int, MapView],
    matches: dict[int, Matches],
) -> str | None:
    """Why a pose cannot even be looked for."""
    if not candidates:
        return 'no candidates'
    if not len(query.keypoints):
        return 'the image has no keypoints'
    if query.camera is None:
        return query.camera_fault or 'the intrinsics of the camera are unknown'
    posed = [view for view in views.values() if view.pose is not None]
    if not posed:
        return 'the keyframes have no poses'
    if not any(view.keypoints.has_point.any() for view in posed):
        return 'scale unknown: the keyframes have no 3-D points'
    if not any(usable(view).any() for view in posed):
        return 'all 3-D points lie behind the cameras of their keyframes'
    if not any(len(found) for found in matches.values()):
        return 'no keypoint matches one of the keyframes'
    return None


def _agree(one: PnpSolution, other: PnpSolution) -> bool:
    """Whether two poses may be the same: within three deviations of both, or half a metre."""
    apart = one.pose[:3, 3] - other.pose[:3, 3]
    spread = one.covariance[:3, :3] + other.covariance[:3, :3]
    return bool(apart @ np.linalg.solve(spread, apart) < 9 or np.linalg.norm(apart) < 0.5)


def _best(places: Sequence[Place]) -> Place | Refusal:
    """The place with most inliers, unless another one has nearly as many."""
    solved = [(p, p.solved) for p in places if isinstance(p.solved, PnpSolution)]
    if not solved:
        return next(place.solved for place in places if isinstance(place.solved, Refusal))
    solved.sort(key=lambda pair: -pair[1].support.num_inliers)
    (place, best), *rivals = solved
    for _, rival in rivals:
        enough = rival.support.num_inliers >= _RIVAL * best.support.num_inliers
        if enough and not _agree(best, rival):
            numbers = f'{best.support.num_inliers} and {rival.support.num_inliers}'
            return Refusal(f'two places of the map fit alike, with {numbers} inliers')
    return place


def _estimate(place: Place) -> PoseEstimate:
    assert isinstance(place.solved, PnpSolution)
    return PoseEstimate(
        Pose.from_matrix(place.solved.pose),
        place.solved.covariance,
        place.solved.support.num_inliers,
        place.seen_ids,
    )

"""Candidates in, what geometry says of them and the pose of the query out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.geometry import Camera, Pose
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
from cerfevpr_core.verification.pnp import PnpSolution, solve
from cerfevpr_core.verification.pool import groups, pooled, usable
from cerfevpr_core.verification.refine import project
from cerfevpr_core.verification.support import Support, coverage, log_chance
from cerfevpr_core.verification.two_view import Array, two_view

_RIVAL = 0.7  # of the inliers of the best place: another with as many makes both doubtful


@dataclass(frozen=True)
class Query:
    """The image asked about: keypoints, their ideal pixels, size (height, width), camera."""

    keypoints: Keypoints
    ideal_px: Array
    size_px: tuple[int, int]
    camera: Camera | None
    camera_fault: str | None


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
        solution, members, reason = self._solve(query, candidates, views, matches)
        found = [
            self._of_candidate(query, c.keyframe, matches[c.keyframe.keyframe_id], solution)
            for c in candidates
        ]
        if solution is None:
            return Verified(found, None, reason)
        return Verified(found, _estimate(solution, members), None)

    def _solve(
        self,
        query: Query,
        candidates: Sequence[CandidateView],
        views: dict[int, MapView],
        matches: dict[int, Matches],
    ) -> tuple[PnpSolution | None, np.ndarray, str | None]:
        """The pose of the best place, whose points its pool has, or why there is none."""
        nothing = np.zeros(0, np.int64)
        if reason := _no_pose_reason(query, candidates, views, matches):
            return None, nothing, reason
        assert query.camera is not None
        solved: list[tuple[PnpSolution, np.ndarray]] = []
        reasons = []
        for ids in groups(candidates):
            pool = pooled(
                query.ideal_px, query.camera, [views[i] for i in ids], matches, self.config
            )
            found = solve(pool, query.camera, self.config)
            if isinstance(found, str):
                reasons.append(found)
            else:
                solved.append((found, pool.keyframes[found.inliers]))
        if not solved:
            return None, nothing, reasons[0]
        solved.sort(key=lambda s: -s[0].support.num_inliers)
        best, members = solved[0]
        for rival, _ in solved[1:]:
            enough = rival.support.num_inliers >= _RIVAL * best.support.num_inliers
            if enough and not _agree(best, rival):
                numbers = f'{best.support.num_inliers} and {rival.support.num_inliers}'
                return None, nothing, f'two places of the map fit alike, with {numbers} inliers'
        return best, members, None

    def _of_candidate(
        self, query: Query, view: MapView, matches: Matches, solution: PnpSolution | None
    ) -> Verification:
        if not len(query.keypoints) or not len(view.keypoints):
            whose = 'image' if not len(query.keypoints) else 'keyframe'
            return Verification(False, 0, 0.0, 0.0, f'the {whose} has no keypoints')
        if query.keypoints.kind != view.keypoints.kind:
            kinds = f'{query.keypoints.kind}, those of the keyframe {view.keypoints.kind}'
            return Verification(False, 0, 0.0, 0.0, f'the keypoints of the image are {kinds}')
        if solution is not None and view.pose is not None:
            return self._under_pose(query, view, matches, solution)
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


def _estimate(solution: PnpSolution, keyframes: np.ndarray) -> PoseEstimate:
    counted = Counter(keyframes.tolist()).most_common()
    return PoseEstimate(
        Pose.from_matrix(solution.pose),
        solution.covariance,
        solution.support.num_inliers,
        tuple(keyframe for keyframe, _ in counted),
    )

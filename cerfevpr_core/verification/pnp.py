"""A camera's pose in the map from matches with 3-D points of several keyframes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import poselib
from numpy.typing import NDArray

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.geometry import Camera
from cerfevpr_core.verification.cameras import pixel_unit
from cerfevpr_core.verification.covariance import pose_covariance, reaching
from cerfevpr_core.verification.focal import focal_fault
from cerfevpr_core.verification.inliers import Pool, agreeing, one_each
from cerfevpr_core.verification.parts import most_different
from cerfevpr_core.verification.refine import Array, Fit, moved, refine
from cerfevpr_core.verification.support import NO_SUPPORT, Support, coverage, log_chance
from cerfevpr_core.verification.suspects import motions_without

_MINIMAL, _SOLUTIONS = 3, 4  # of P3P
_STRICT = 0.67  # of the error of an inlier, for the RANSAC: fewer that only seem to fit
_FEWEST_TURNS, _TURNS = 3, 12  # of choosing inliers and refining on them
_CONTRADICTION = 18.0  # chi-squared with six degrees of freedom: 0.6 % by chance
_UNDETERMINED = 'the inliers leave the pose undetermined'


@dataclass(frozen=True)
class PnpSolution:
    """`pose` (4, 4) camera in map, `covariance` (6, 6); `inliers` index the pool, each query
    keypoint once."""

    pose: Array
    covariance: Array
    inliers: NDArray[np.int64]
    support: Support


@dataclass(frozen=True)
class Refusal:
    """Why there is no pose. `is_place`: the matches agree, but not well enough for a pose."""

    reason: str
    is_place: bool = False
    support: Support = NO_SUPPORT


def solve(pool: Pool, camera: Camera, config: VerificationConfig) -> PnpSolution | Refusal:
    """LO-RANSAC with P3P, then refinement on one match of each keypoint."""
    limit = config.max_error_px * pixel_unit(camera.width_px, camera.height_px)
    if len(np.unique(pool.keypoints)) < config.min_inliers:
        number = len(np.unique(pool.keypoints))
        return Refusal(
            f'{number} matches with 3-D points, fewer than verification.min_inliers, '
            f'{config.min_inliers}'
        )
    pose = _ransac(pool, camera, _STRICT * limit, config)
    if pose is None:
        return Refusal('no pose fits the matches with 3-D points')
    settled = _settle(pool, camera, pose, limit, config)
    if isinstance(settled, Refusal):
        return settled
    fit, inliers, support = settled
    observations = pool.observations.take(inliers)
    longest_px = max(camera.height_px, camera.width_px)
    covariance = pose_covariance(fit, observations.seen_px, longest_px, config.shared_error)
    if covariance is None:
        return Refusal(_UNDETERMINED, is_place=True)
    if config.shared_error:
        covariance = reaching(covariance, motions_without(pool, camera, fit, inliers, limit))
    if reason := focal_fault(camera, fit.pose, observations):
        return Refusal(reason, is_place=True)
    return PnpSolution(fit.pose, covariance, inliers, support)


def _settle(
    pool: Pool, camera: Camera, pose: Array, limit: float, config: VerificationConfig
) -> tuple[Fit, NDArray[np.int64], Support] | Refusal:
    """Choose inliers and refine on them in turn, without parts that contradict the others."""
    size_px = (camera.height_px, camera.width_px)
    left_out = np.zeros(0, np.int64)  # for good: what contradicts once would come back by chance
    for turn in range(_TURNS):
        inliers = one_each(pool, np.setdiff1d(agreeing(pool, camera, pose, limit), left_out))
        support = _support(pool, inliers, camera, limit)
        if reason := support.fault(config):
            return Refusal(reason, support=support)
        observations = pool.observations.take(inliers)
        fit = refine(camera, pose, observations)
        if fit is None:
            return Refusal(_UNDETERMINED, is_place=True)
        pose = fit.pose
        part = most_different(fit, observations.seen_px, size_px)
        if part is None:
            return Refusal('all inliers lie in one part of the image')
        if part.disagreement < _CONTRADICTION:
            if turn >= _FEWEST_TURNS - 1:
                return fit, inliers, support
            continue
        seen_there = np.isin(pool.keypoints, pool.keypoints[inliers[part.rows]])
        left_out = np.union1d(left_out, np.flatnonzero(seen_there))
        pose = moved(pose, part.motion)
    return Refusal('parts of the image contradict each other about the pose', support=support)


def _ransac(pool: Pool, camera: Camera, limit: float, config: VerificationConfig) -> Array | None:
    size = {'width': camera.width_px, 'height': camera.height_px}
    pinhole = {**size, 'model': 'PINHOLE', 'params': [camera.fx, camera.fy, camera.cx, camera.cy]}
    ransac = {
        'max_reproj_error': limit,
        'max_iterations': config.max_iterations,
        'min_iterations': min(100, config.max_iterations),
        'seed': config.seed,
    }
    seen, points = pool.observations.seen_px, pool.observations.points_m
    found, info = poselib.estimate_absolute_pose(seen, points, pinhole, ransac, {})
    if info['num_inliers'] <= _MINIMAL or not np.isfinite(found.Rt).all():
        return None
    pose = np.eye(4)
    pose[:3, :3] = found.R.T
    pose[:3, 3] = -found.R.T @ found.t
    return pose


def _support(pool: Pool, inliers: NDArray[np.int64], camera: Camera, limit: float) -> Support:
    num_matches = len(np.unique(pool.keypoints))
    share = np.pi * limit**2 / (camera.width_px * camera.height_px)
    chances = len(pool) / max(num_matches, 1)  # a keypoint with several matches has several
    return Support(
        len(inliers),
        len(inliers) / max(num_matches, 1),
        coverage(pool.observations.seen_px[inliers], camera.width_px, camera.height_px),
        log_chance(len(inliers), num_matches, share * chances, _MINIMAL, _SOLUTIONS),
    )


def spread_fault(covariance: Array, config: VerificationConfig) -> str | None:
    """In words, why a pose is too uncertain to be given; None if it is not."""
    std_m = float(np.sqrt(np.linalg.eigvalsh(covariance[:3, :3])[-1]))
    std_deg = float(np.degrees(np.sqrt(np.linalg.eigvalsh(covariance[3:, 3:])[-1])))
    if std_m > config.max_std_m:
        return f'the position is uncertain by {std_m:.2g} m, above {config.max_std_m:g}'
    if std_deg > config.max_std_deg:
        return f'the direction is uncertain by {std_deg:.2g} degrees, above {config.max_std_deg:g}'
    return None

"""What verification takes and gives: keyframes to match with, what was found of each, a pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.verification.keypoints import Keypoints
from cerfevpr_core.verification.regions import Regions


@dataclass(frozen=True)
class MapView:
    """A keyframe as verification sees it; `regions` are those that match the query's, if known."""

    keyframe_id: int
    keypoints: Keypoints
    pose: Pose | None = None
    camera: Camera | None = None
    regions: Regions | None = None


@dataclass(frozen=True)
class CandidateView:
    """A candidate with the keyframes of the map that see the same place (covisible)."""

    keyframe: MapView
    neighbours: tuple[MapView, ...] = ()


@dataclass(frozen=True)
class Verification:
    """What geometry says of one candidate.

    `relative_pose` is the query's camera in the keyframe's: metric if `scale_known`, else its
    translation is of unit length. A verified candidate may have none; `relative_reason` says why.
    """

    verified: bool
    num_inliers: int
    inlier_ratio: float
    coverage: float
    reject_reason: str | None
    relative_pose: Pose | None = None
    scale_known: bool = False
    relative_reason: str | None = None


@dataclass(frozen=True)
class PoseEstimate:
    """`pose` is the query's camera in the map, metric.

    `covariance` (6, 6) is of (x, y, z, rotation about the map's x, y, z axes), as in ROS.
    """

    pose: Pose
    covariance: NDArray[np.float64]
    num_inliers: int
    keyframe_ids: tuple[int, ...]  # that the inliers are of, most inliers first


@dataclass(frozen=True)
class Verified:
    """One verification for each candidate, in their order; and a pose, or why there is none."""

    verifications: list[Verification]
    pose: PoseEstimate | None
    pose_reason: str | None

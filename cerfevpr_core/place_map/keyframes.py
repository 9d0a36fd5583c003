"""What the map holds and what a search finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.landmarks import LandmarkMatches

if TYPE_CHECKING:  # verification imports torch, which a map does not need
    from cerfevpr_core.verification.regions import Regions


@dataclass(frozen=True)
class Keyframe:
    """A database image. `descriptors` (P, E) holds the image's own and those of its variants."""

    name: str
    descriptors: NDArray[np.float32]
    external_id: str = ''  # the SLAM system's own id
    traverse: str = ''
    stamp_ns: int = 0
    pose: Pose | None = None
    camera: Camera | None = None
    thumbnail: bytes = b''  # jpeg
    size_px: tuple[int, int] = (0, 0)  # height, width of the image
    local_features: Mapping[str, bytes] = field(default_factory=dict)  # packed, by kind
    has_points: bool = False  # whether its keypoints have 3-D points


@dataclass(frozen=True)
class Candidate:
    """A keyframe with its similarity (cosine) to the query, and what later stages found."""

    keyframe_id: int
    name: str
    similarity: float
    external_id: str = ''
    traverse: str = ''
    stamp_ns: int = 0
    pose: Pose | None = None
    size_px: tuple[int, int] = (0, 0)  # height, width of its image
    landmark_similarity: float | None = None  # eq. 5 over the number of landmarks: 0 to 1
    landmark_matches: LandmarkMatches | None = None
    regions: Regions | None = None  # the cells of these matches, in pixels
    belief: float | None = None  # chance by all images so far that the robot is here or beside
    probability: float | None = None
    verified: bool = False
    num_inliers: int | None = None
    inlier_ratio: float | None = None  # of the matched keypoints
    relative_pose: Pose | None = None  # of the query's camera in the keyframe's
    scale_known: bool = False  # whether that is in metres
    reject_reason: str | None = None

"""What loop closure finds: two keyframes of one place, or why there are none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.geometry import Pose
from cerfevpr_core.place_map import Candidate


@dataclass(frozen=True)
class LoopClosure:
    """The keyframe `from_id` shows the place of the older one `to_id`.

    `relative_pose` is the newer camera in the older one's: in metres if `scale_known`, else its
    translation is of unit length; None where it is undetermined. `covariance` (6, 6) is of its
    (x, y, z, rotation about the older camera's x, y, z axes), known only with the scale.
    """

    from_id: int
    to_id: int
    similarity: float
    num_inliers: int
    from_external_id: str = ''
    to_external_id: str = ''
    relative_pose: Pose | None = None
    scale_known: bool = False
    covariance: NDArray[np.float64] | None = None
    probability: float | None = None


@dataclass(frozen=True)
class LoopAnswer:
    """Of one image: the closure to tell, or why there is none.

    `found` is also given where an earlier closure nearby was told already; `candidates` are what
    was verified.
    """

    closure: LoopClosure | None
    reason: str = ''
    found: LoopClosure | None = None
    candidates: tuple[Candidate, ...] = ()

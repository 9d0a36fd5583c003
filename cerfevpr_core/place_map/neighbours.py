"""Which keyframes see what another one sees: those that stand near it and look its way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cerfevpr_core.geometry import Pose


class Neighbours:
    """Of keyframes whose points may join: ids (P,), and x, y, z, qx, qy, qz, qw (P, 7)."""

    def __init__(self, ids: NDArray[np.int64], poses: NDArray[np.float64]) -> None:
        self.ids = ids
        self.positions_m = poses[:, :3]
        turns = Rotation.from_quat(poses[:, 3:]) if len(poses) else Rotation.identity(0)
        self.views = turns.apply([0, 0, 1]) if len(poses) else np.zeros((0, 3))

    def of(self, keyframe_id: int, pose: Pose, number: int, max_turn_deg: float) -> list[int]:
        """The nearest other keyframes that look the way of one with this pose."""
        apart_m = np.linalg.norm(self.positions_m - np.array(pose.position_m), axis=1)
        alike = self.views @ pose.matrix()[:3, 2] >= np.cos(np.radians(max_turn_deg))
        apart_m[~alike | (self.ids == keyframe_id)] = np.inf
        nearest = np.argsort(apart_m, kind='stable')[:number]
        return [int(self.ids[i]) for i in nearest if np.isfinite(apart_m[i])]

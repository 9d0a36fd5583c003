"""Which keyframes see what another one sees: those that stand near it and look its way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation


class Neighbours:
    """Of the keyframes with a pose: ids (P,), and x, y, z, qx, qy, qz, qw (P, 7)."""

    def __init__(self, ids: NDArray[np.int64], poses: NDArray[np.float64]) -> None:
        self.ids = ids
        self.positions_m = poses[:, :3]
        turns = Rotation.from_quat(poses[:, 3:]) if len(poses) else Rotation.identity(0)
        self.views = turns.apply([0, 0, 1]) if len(poses) else np.zeros((0, 3))
        self.row_of = {int(number): row for row, number in enumerate(ids)}

    def of(self, keyframe_id: int, number: int, max_turn_deg: float) -> list[int]:
        """The nearest other keyframes that look the same way; none without a pose."""
        row = self.row_of.get(keyframe_id)
        if row is None:
            return []
        apart_m = np.linalg.norm(self.positions_m - self.positions_m[row], axis=1)
        alike = self.views @ self.views[row] >= np.cos(np.radians(max_turn_deg))
        apart_m[~alike] = np.inf
        apart_m[row] = np.inf
        nearest = np.argsort(apart_m, kind='stable')[:number]
        return [int(self.ids[i]) for i in nearest if np.isfinite(apart_m[i])]

"""What the filter knows of the map: which keyframes follow each other, and where they stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cerfevpr_core.place_map import Candidate

_GAP = 10.0  # times the usual spacing: keyframes further apart do not follow each other


@dataclass(frozen=True)
class KeyframeTable:
    """M keyframes in order: `ids` (M,), `traverses` (M,), `poses` (M, 4, 4) with NaN for none."""

    ids: NDArray[np.int64]
    traverses: NDArray[np.str_]
    poses: NDArray[np.float64]

    @staticmethod
    def of(keyframes: Iterable[Candidate]) -> KeyframeTable:
        """In the order in which they were added to the map."""
        keyframes = list(keyframes)
        poses = np.full((len(keyframes), 4, 4), np.nan)
        known = {row: k.pose for row, k in enumerate(keyframes) if k.pose is not None}
        if known:  # all at once: a live map is read anew with each keyframe
            rows, all_ = list(known), list(known.values())
            poses[rows] = np.eye(4)
            poses[rows, :3, :3] = Rotation.from_quat([p.quaternion for p in all_]).as_matrix()
            poses[rows, :3, 3] = [p.position_m for p in all_]
        ids = np.array([k.keyframe_id for k in keyframes], np.int64)
        return KeyframeTable(ids, np.array([k.traverse for k in keyframes], np.str_), poses)

    @staticmethod
    def of_one_traverse(number: int) -> KeyframeTable:
        """Rows as ids, without poses."""
        return KeyframeTable(
            np.arange(number), np.full(number, '', np.str_), np.full((number, 4, 4), np.nan)
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def positions_m(self) -> NDArray[np.float64]:
        """(M, 3), NaN where there is no pose."""
        return self.poses[:, :3, 3]

    @property
    def has_pose(self) -> NDArray[np.bool_]:
        """(M,)."""
        return np.isfinite(self.positions_m[:, 0])

    def spacing_m(self) -> float:
        """Usual distance of a keyframe to the next one; 0 where no two have poses."""
        steps = np.concatenate([self._steps(run) for run in self._by_traverse()] or [np.zeros(0)])
        steps = steps[np.isfinite(steps) & (steps > 0)]
        return float(np.median(steps)) if len(steps) else 0.0

    def runs(self) -> list[NDArray[np.int64]]:
        """Rows that follow each other, one array a stretch of a traverse."""
        limit_m = _GAP * self.spacing_m() or np.inf
        stretches: list[NDArray[np.int64]] = []
        for run in self._by_traverse():
            gaps = np.flatnonzero(self._steps(run) > limit_m)  # NaN is no gap
            stretches += np.split(run, gaps + 1)
        return stretches

    def _by_traverse(self) -> list[NDArray[np.int64]]:
        return [np.flatnonzero(self.traverses == name) for name in np.unique(self.traverses)]

    def _steps(self, run: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.linalg.norm(np.diff(self.positions_m[run], axis=0), axis=1)

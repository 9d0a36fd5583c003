"""ORB keypoints all over the image, as ORB-SLAM takes them: the baseline is to be a real one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.images import Image
from cerfevpr_core.verification.detectors import OpenCvDetector
from cerfevpr_core.verification.keypoints import Keypoints, Kind

_CELLS = 16  # along the longer side
_MORE = 4  # times as many are found as are kept


class EvenOrbDetector:
    """ORB, the strongest of each cell first: OpenCV's own crowd where the contrast is."""

    kind: Kind = 'orb'

    def __init__(self, config: VerificationConfig) -> None:
        self.number = config.num_keypoints
        self.detector = OpenCvDetector(
            replace(config, num_keypoints=_MORE * config.num_keypoints), self.kind
        )

    def detect(self, image: Image) -> Keypoints:
        """RGB (H, W, 3) -> its keypoints."""
        found = self.detector.detect(image)
        chosen = evenly_spread(found.positions_px, max(image.shape[:2]) / _CELLS)[: self.number]
        return replace(
            found,
            positions_px=found.positions_px[chosen],
            descriptors=found.descriptors[chosen],
            points_m=found.points_m[chosen],
        )


def evenly_spread(positions_px: NDArray[np.float32], cell_px: float) -> NDArray[np.int64]:
    """Positions (N, 2), strongest first -> their order, every cell's first before any second."""
    columns, rows = (positions_px // cell_px).astype(np.int64).T
    cells = rows * (columns.max(initial=0) + 1) + columns
    by_cell = np.argsort(cells, kind='stable')  # within a cell still the strongest first
    starts = np.searchsorted(cells[by_cell], cells[by_cell])
    ranks = np.empty(len(cells), np.int64)
    ranks[by_cell] = np.arange(len(cells)) - starts
    return np.argsort(ranks, kind='stable')

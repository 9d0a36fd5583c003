"""Keypoints that match only inside a node of the vocabulary tree, as ORB-SLAM matches them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .hamming import all_hamming

MAX_DISTANCE = 50  # ORB-SLAM's TH_LOW, of 256 bits
# To the second nearest of the same node. ORB-SLAM's is 0.75 when it relocalizes, with which fewer
# queries are located: 31 instead of 45 of 80 on a drawn street.
RATIO = 0.9
_NONE = np.iinfo(np.uint16).max


def match_in_words(
    descriptors0: NDArray[np.uint8],
    nodes0: NDArray[np.int64],
    descriptors1: NDArray[np.uint8],
    nodes1: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """Mutually nearest keypoints of one node, near and distinct enough.

    Their indices (P, 2), and the bits (P,) in which they differ.
    `nodes0` (N,) and `nodes1` (M,) are those of one level of the tree: the words themselves, or a
    level above, where fewer true matches are cut off.
    """
    if not (len(nodes0) and len(nodes1)):
        return np.zeros((0, 2), np.int64), np.zeros(0, np.uint16)
    distances = all_hamming(descriptors0, descriptors1)
    distances[nodes0[:, None] != nodes1] = _NONE
    nearest = distances.argmin(axis=1)
    rows = np.arange(len(nearest))
    best = distances[rows, nearest]
    mutual = distances.argmin(axis=0)[nearest] == rows
    distances[rows, nearest] = _NONE
    second = distances.min(axis=1)
    kept = mutual & (best <= MAX_DISTANCE) & (best < RATIO * second)
    return np.stack([rows[kept], nearest[kept]], axis=1), best[kept]

"""Matches of the keypoints of a query with those of one keyframe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.verification.keypoints import Keypoints
from cerfevpr_core.verification.regions import Regions, enlarged, inside


@dataclass(frozen=True)
class Matches:
    """Pairs (P, 2) of keypoints of the query and of the keyframe; similarities (P,), cosine."""

    pairs: NDArray[np.int64]
    similarities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.pairs)


def match(
    query: Keypoints, keyframe: Keypoints, regions: Regions | None, config: VerificationConfig
) -> Matches:
    """Mutually nearest keypoints that pass the ratio test, each query keypoint at most once.

    With regions, a query keypoint that lies in some of them finds its match only in the
    corresponding ones of the keyframe; one that lies in none, anywhere.
    """
    if query.kind != keyframe.kind or not len(query) or not len(keyframe):
        return Matches(np.zeros((0, 2), np.int64), np.zeros(0, np.float32))
    similar = similarities(query, keyframe)  # (N, M)
    if regions is not None and config.in_regions:
        similar[~_allowed(query, keyframe, regions, config.region_scale)] = -np.inf
    nearest = similar.argmax(axis=1)  # (N,)
    rows = np.arange(len(query))
    first = similar[rows, nearest]
    mutual = similar.argmax(axis=0)[nearest] == rows
    similar[rows, nearest] = -np.inf
    second = similar.max(axis=1)
    # Distances of unit vectors; equal ones, as of all-equal descriptors, decide nothing.
    distinct = _distance(first) < config.ratio * _distance(second)
    kept = mutual & distinct & (first >= config.min_similarity)
    return Matches(np.stack([rows[kept], nearest[kept]], axis=1), first[kept])


def similarities(keypoints0: Keypoints, keypoints1: Keypoints) -> NDArray[np.float32]:
    """Cosines of all descriptors of two images of one kind: (N, M)."""
    return _signed(keypoints0) @ _signed(keypoints1).T


def _signed(keypoints: Keypoints) -> NDArray[np.float32]:
    """Unit vectors; bits as signs, whose cosine is 1 - 2 * Hamming distance / number of bits."""
    if not keypoints.is_binary:
        return keypoints.descriptors.astype(np.float32, copy=False)
    bits = np.unpackbits(keypoints.descriptors.astype(np.uint8, copy=False), axis=1)
    return (2 * bits.astype(np.float32) - 1) / np.float32(np.sqrt(bits.shape[1]))


def _distance(similarity: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.sqrt(np.maximum(2 - 2 * similarity, 0))


def _allowed(
    query: Keypoints, keyframe: Keypoints, regions: Regions, scale: float
) -> NDArray[np.bool_]:
    """(N, M): whether the regions let a query keypoint match one of the keyframe."""
    of_query = inside(query.positions_px, enlarged(regions.query_px, scale))  # (N, P)
    of_keyframe = inside(keyframe.positions_px, enlarged(regions.keyframe_px, scale))  # (M, P)
    together = of_query.astype(np.float32) @ of_keyframe.T.astype(np.float32) > 0
    return together | ~np.asarray(of_query.any(axis=1))[:, None]

"""Distances between binary descriptors, packed eight bits a byte."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ONES = np.array([i.bit_count() for i in range(1 << 16)], np.uint8)  # NumPy 1 counts no bits


def hamming(
    descriptors0: NDArray[np.uint8], descriptors1: NDArray[np.uint8]
) -> NDArray[np.uint16]:
    """Bits that differ: two arrays (..., bytes) that broadcast -> (...)."""
    differing = np.bitwise_xor(descriptors0, descriptors1)
    if differing.shape[-1] % 2:
        return _ONES[differing].sum(axis=-1, dtype=np.uint16)
    return _ONES[differing.view(np.uint16)].sum(axis=-1, dtype=np.uint16)


def all_hamming(
    descriptors0: NDArray[np.uint8], descriptors1: NDArray[np.uint8]
) -> NDArray[np.uint16]:
    """Every pair: (N, bytes), (M, bytes) -> (N, M). One matrix product, far faster than bits."""
    signs0, signs1 = _signs(descriptors0), _signs(descriptors1)
    num_bits = 8 * descriptors0.shape[1]
    return ((num_bits - signs0 @ signs1.T) / 2).round().astype(np.uint16)


def _signs(descriptors: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Bits as 1 and -1: two equal bits have the product 1, two different ones -1."""
    return np.unpackbits(descriptors, axis=1).astype(np.float32) * 2 - 1

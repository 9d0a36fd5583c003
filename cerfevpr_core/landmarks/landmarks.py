"""The landmarks of one image: some cells of its feature map, and how a map keeps them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import MapError

_HEADER = struct.Struct('<HHHH')  # L, D, h, w
_LARGEST = 127  # of a signed byte


@dataclass(frozen=True)
class Landmarks:
    """The L cells of a feature map (h, w) that were selected, strongest first.

    `features` (L, D) are of unit length, `rows` and `columns` (L,) count cells from the top left,
    `activations` (L,) are what selected them.
    """

    features: NDArray[np.float32]
    rows: NDArray[np.int16]
    columns: NDArray[np.int16]
    activations: NDArray[np.float32]
    grid: tuple[int, int]  # h, w

    def __len__(self) -> int:
        return len(self.features)

    def boxes_px(self, height_px: int, width_px: int) -> NDArray[np.float32]:
        """The cells in an image of this size: (L, 4), x, y, width, height."""
        cell_h, cell_w = height_px / self.grid[0], width_px / self.grid[1]
        x, y = self.columns * cell_w, self.rows * cell_h
        sides = np.broadcast_to([cell_w, cell_h], (len(self), 2))
        return np.concatenate([np.stack([x, y], axis=1), sides], axis=1).astype(np.float32)


def select(
    features: NDArray[np.float32], weights: NDArray[np.float32], num_landmarks: int
) -> Landmarks:
    """The cells of a feature map (D, h, w) with the highest weights (h, w).

    Only cells with a weight above zero, so at times fewer. Among equal weights the first in
    reading order.
    """
    dim, height, width = features.shape
    order = np.argsort(-weights.ravel(), kind='stable')[:num_landmarks]
    order = order[weights.ravel()[order] > 0]
    chosen = features.reshape(dim, -1)[:, order].T.astype(np.float32)
    lengths = np.linalg.norm(chosen, axis=1, keepdims=True)
    rows, columns = np.divmod(order, width)
    return Landmarks(
        chosen / np.maximum(lengths, 1e-12),
        rows.astype(np.int16),
        columns.astype(np.int16),
        weights.ravel()[order].astype(np.float32),
        (height, width),
    )


def pack(landmarks: Landmarks) -> bytes:
    """As a map keeps them: features in one byte a number, with one scale a landmark."""
    number, dim = landmarks.features.shape
    scales = np.abs(landmarks.features).max(axis=1, initial=1e-12) / _LARGEST
    quantized = np.rint(landmarks.features / scales[:, None]).astype(np.int8)
    parts = [
        _HEADER.pack(number, dim, *landmarks.grid),
        np.stack([landmarks.rows, landmarks.columns]).astype('<i2').tobytes(),
        np.stack([landmarks.activations, scales]).astype('<f4').tobytes(),
        quantized.tobytes(),
    ]
    return b''.join(parts)


def unpack(blob: bytes) -> Landmarks:
    """What `pack` wrote. Raises MapError for another length."""
    if len(blob) < _HEADER.size:
        raise MapError(f'landmarks of {len(blob)} bytes are cut short; build the map again')
    number, dim, height, width = _HEADER.unpack_from(blob)
    expected = _HEADER.size + number * (4 + 8 + dim)
    if len(blob) != expected:
        raise MapError(f'landmarks of {len(blob)} bytes, expected {expected}; build the map again')
    places, values, numbers = np.split(
        np.frombuffer(blob, np.uint8, offset=_HEADER.size), [4 * number, 12 * number]
    )
    rows, columns = places.view('<i2').reshape(2, number)
    activations, scales = values.view('<f4').reshape(2, number)
    features = numbers.view(np.int8).reshape(number, dim) * scales[:, None]
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return Landmarks(
        (features / np.maximum(lengths, 1e-12)).astype(np.float32),
        rows.astype(np.int16),
        columns.astype(np.int16),
        activations.astype(np.float32),
        (height, width),
    )

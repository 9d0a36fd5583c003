"""The keypoints of one image, and how a map keeps them."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import MapError

Kind = Literal['orb', 'sift', 'xfeat']
KINDS: tuple[Kind, ...] = ('orb', 'sift', 'xfeat')  # the order is part of the packed form
_BINARY = ('orb',)
_DIMS = {'orb': 32, 'sift': 128, 'xfeat': 64}

_HEADER = struct.Struct('<BBHHf')  # form, kind, N, D, pixels of one step
_CRC = struct.Struct('<I')
_FORM = 1
_STEPS = 65535  # of an unsigned short: 0.01 pixels for an image 640 wide
_LARGEST = 127  # of a signed byte


@dataclass(frozen=True)
class Keypoints:
    """The N keypoints of an image, strongest first.

    `positions_px` (N, 2) are x, y in the original image; the centre of the first pixel is (0, 0).
    `descriptors` (N, D) are uint8 (bits, Hamming) or float32 of unit length (cosine). `points_m`
    (N, 3) lie in the optical frame of the image's camera; NaN where unknown.
    """

    positions_px: NDArray[np.float32]
    descriptors: NDArray[np.uint8] | NDArray[np.float32]
    points_m: NDArray[np.float32]
    kind: Kind

    def __len__(self) -> int:
        return len(self.positions_px)

    @property
    def is_binary(self) -> bool:
        """Whether descriptors are bits."""
        return self.kind in _BINARY

    @property
    def has_point(self) -> NDArray[np.bool_]:
        """(N,): where the 3-D point is known."""
        return np.asarray(np.isfinite(self.points_m).all(axis=1))


def no_keypoints(kind: Kind) -> Keypoints:
    """Those of an image that has none."""
    descriptors = np.zeros((0, _DIMS[kind]), np.uint8 if kind in _BINARY else np.float32)
    return Keypoints(np.zeros((0, 2), np.float32), descriptors, unknown_points(0), kind)


def unknown_points(number: int) -> NDArray[np.float32]:
    """3-D points (N, 3) of which none is known."""
    return np.full((number, 3), np.nan, np.float32)


def pack(keypoints: Keypoints) -> bytes:
    """As a map keeps them: positions in steps, points in half precision, descriptors in bytes."""
    number, dim = keypoints.descriptors.shape
    step = max(float(keypoints.positions_px.max(initial=0)), 1.0) / _STEPS
    step = float(np.float32(step))  # as it is read back
    positions = np.clip(np.rint(keypoints.positions_px / step), 0, _STEPS)
    body = b''.join(
        [
            _HEADER.pack(_FORM, KINDS.index(keypoints.kind), number, dim, step),
            positions.astype('<u2').tobytes(),
            np.clip(keypoints.points_m, -60000, 60000).astype('<f2').tobytes(),
            _descriptor_bytes(keypoints),
        ]
    )
    return body + _CRC.pack(zlib.crc32(body))


def unpack(blob: bytes) -> Keypoints:
    """What `pack` wrote. Raises MapError for a damaged blob."""
    if len(blob) < _HEADER.size + _CRC.size:
        raise MapError(f'keypoints of {len(blob)} bytes are cut short; build the map again')
    form, kind_number, number, dim, step = _HEADER.unpack_from(blob)
    if zlib.crc32(blob[: -_CRC.size]) != _CRC.unpack(blob[-_CRC.size :])[0]:
        raise MapError('keypoints have changed since they were written; build the map again')
    expected = _HEADER.size + number * (4 + 6 + dim) + _CRC.size
    if form != _FORM or kind_number >= len(KINDS) or len(blob) != expected:
        raise MapError(
            f'keypoints of form {form}, kind {kind_number} and {len(blob)} bytes (expected form '
            f'{_FORM}, {expected} bytes) cannot be read; build the map again'
        )
    kind = KINDS[kind_number]
    numbers = np.frombuffer(blob, np.uint8, number * (10 + dim), _HEADER.size)
    places, points, rows = np.split(numbers, [4 * number, 10 * number])
    return Keypoints(
        places.view('<u2').reshape(number, 2).astype(np.float32) * np.float32(step),
        _descriptors(rows.reshape(number, dim), kind),
        points.view('<f2').reshape(number, 3).astype(np.float32),
        kind,
    )


def _descriptor_bytes(keypoints: Keypoints) -> bytes:
    if keypoints.is_binary:
        return keypoints.descriptors.astype(np.uint8).tobytes()
    largest = np.abs(keypoints.descriptors).max(axis=1, initial=1e-12, keepdims=True)
    return np.rint(keypoints.descriptors * (_LARGEST / largest)).astype(np.int8).tobytes()


def _descriptors(rows: NDArray[np.uint8], kind: Kind) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Bits as they were; else of unit length, so that no scale needs to be kept."""
    if kind in _BINARY:
        return rows
    values = rows.view(np.int8).astype(np.float32)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.maximum(lengths, 1e-12)

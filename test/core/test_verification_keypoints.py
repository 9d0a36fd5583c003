"""Keypoints as a map keeps them."""

from __future__ import annotations

import numpy as np
import pytest

from cerfevpr_core.errors import MapError
from cerfevpr_core.verification.keypoints import Keypoints, Kind, no_keypoints, pack, unpack


def some_keypoints(kind: Kind, number: int = 50) -> Keypoints:
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 640, (number, 2)).astype(np.float32)
    points = rng.normal(0, 5, (number, 3)).astype(np.float32)
    points[::3] = np.nan
    if kind == 'orb':
        bits = rng.integers(0, 256, (number, 32), dtype=np.uint8)
        return Keypoints(positions, bits, points, kind)
    rows = rng.normal(size=(number, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Keypoints(positions, rows, points, kind)


@pytest.mark.parametrize('kind', ['orb', 'xfeat'])
def test_packed_keypoints_come_back_nearly_as_they_were(kind: Kind) -> None:
    before = some_keypoints(kind)
    after = unpack(pack(before))
    assert after.kind == kind
    assert np.abs(after.positions_px - before.positions_px).max() < 0.01
    np.testing.assert_allclose(after.points_m, before.points_m, rtol=1e-3, equal_nan=True)
    assert after.descriptors.dtype == before.descriptors.dtype
    if kind == 'orb':
        assert (after.descriptors == before.descriptors).all()
    else:
        assert (after.descriptors * before.descriptors).sum(axis=1).min() > 0.999
        assert np.linalg.norm(after.descriptors, axis=1) == pytest.approx(1, abs=1e-5)


def test_packed_keypoints_take_less_than_a_hundred_bytes_each() -> None:
    assert len(pack(some_keypoints('xfeat', 400))) < 80 * 400


@pytest.mark.parametrize('kind', ['orb', 'sift', 'xfeat'])
def test_an_image_without_keypoints_is_kept_too(kind: Kind) -> None:
    after = unpack(pack(no_keypoints(kind)))
    assert len(after) == 0 and after.kind == kind
    assert after.descriptors.shape == no_keypoints(kind).descriptors.shape


def test_a_damaged_blob_is_refused() -> None:
    blob = pack(some_keypoints('orb'))
    for damaged in (b'', blob[:7], blob[:-1], blob + b'0', b'\x09' + blob[1:]):
        with pytest.raises(MapError, match='build the map again'):
            unpack(damaged)
    for at in range(0, len(blob), 97):
        with pytest.raises(MapError):
            unpack(blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :])

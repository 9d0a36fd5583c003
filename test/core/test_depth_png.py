"""Depth images as files: 16-bit png in millimetres, whole, damaged, and hostile."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerfevpr_core.errors import ImageError
from cerfevpr_core.pixel_formats import decode_depth_png


def png16(samples: np.ndarray) -> bytes:
    return cv2.imencode('.png', samples)[1].tobytes()


def test_a_depth_png_gives_its_millimetres_back():
    millimetres = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    np.testing.assert_array_equal(decode_depth_png(png16(millimetres)), millimetres)


def png_that_claims(side: int) -> bytes:
    """The head of a 16-bit grey PNG of side x side pixels, and a few of its bytes."""
    png = png16(np.zeros((2, 2), np.uint16))
    head = b'IHDR' + side.to_bytes(4, 'big') * 2 + b'\x10\0\0\0\0'
    return png[:12] + head + zlib.crc32(head).to_bytes(4, 'big') + png[33:]


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (b'', 'it is no png'),
        (png16(np.zeros((3, 4), np.uint8)), r'it is uint8 of shape \(3, 4\)'),
        (png16(np.zeros((3, 4, 3), np.uint16)), r'it is uint16 of shape \(3, 4, 3\)'),
        (cv2.imencode('.jpg', np.zeros((3, 4), np.uint8))[1].tobytes(), 'it is no png'),
        (png_that_claims(9000), '9000 x 9000 pixels, expected at most 64000000'),
        (png_that_claims(60000), 'it cannot be read .*decompression bomb'),
    ],
)
def test_what_is_no_depth_png_is_refused(data, message):
    with pytest.raises(ImageError, match=message):
        decode_depth_png(data)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 200), st.binary(min_size=1, max_size=8))
def test_a_depth_png_with_other_bytes_in_it_is_read_or_refused(at, other):
    png = png16(np.arange(200, dtype=np.uint16).reshape(10, 20) * 300)
    damaged = png[:at] + other + png[at + len(other) :]
    try:
        assert decode_depth_png(damaged).dtype == np.uint16
    except ImageError as error:
        assert str(error)

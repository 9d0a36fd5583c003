"""Raw pixels and depth of messages, against slow references and an independent reader."""

from __future__ import annotations

import time
from array import array
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerfevpr_core.errors import ImageError
from cerfevpr_core.pixel_formats import decode_depth, decode_raw
from cerfevpr_core.pixel_formats.raw import supported_encodings

# encoding -> bytes of a sample, samples of a pixel, which of them are R, G and B
PACKED = {
    **{'rgb8': (1, 3, (0, 1, 2)), 'bgr8': (1, 3, (2, 1, 0)), '8UC3': (1, 3, (2, 1, 0))},
    **{'rgba8': (1, 4, (0, 1, 2)), 'bgra8': (1, 4, (2, 1, 0)), '8UC4': (1, 4, (2, 1, 0))},
    **{'mono8': (1, 1, (0, 0, 0)), '8UC1': (1, 1, (0, 0, 0))},
    **{'rgb16': (2, 3, (0, 1, 2)), 'bgr16': (2, 3, (2, 1, 0))},
    **{'rgba16': (2, 4, (0, 1, 2)), 'bgra16': (2, 4, (2, 1, 0))},
    **{'mono16': (2, 1, (0, 0, 0)), '16UC1': (2, 1, (0, 0, 0))},
}
BYTES_OF_A_PIXEL = {
    **{name: sample * channels for name, (sample, channels, _) in PACKED.items()},
    **{f'bayer_{pattern}16': 2 for pattern in ('rggb', 'bggr', 'gbrg', 'grbg')},
    **dict.fromkeys(('uyvy', 'yuv422', 'yuyv', 'yuv422_yuy2'), 2),
}
PATTERNS = ('rggb', 'bggr', 'gbrg', 'grbg')


def smooth_image(height: int, width: int) -> np.ndarray:
    """RGB ramps that a demosaic and shared chroma change little."""
    y, x = np.mgrid[:height, :width].astype(float)
    return np.dstack([40 + 2 * x, 200 - 2 * y, 90 + x + y]).clip(0, 255).astype(np.uint8)


def mosaic_of(image: np.ndarray, pattern: str) -> np.ndarray:
    """One channel a pixel; the pattern is the first row's first two pixels, then the second's."""
    mosaic = np.empty(image.shape[:2], np.uint8)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            channel = 'rgb'.index(pattern[2 * (row % 2) + column % 2])
            mosaic[row, column] = image[row, column, channel]
    return mosaic


def padded(rows: np.ndarray, padding: int) -> bytes:
    """The bytes of rows (H, ...) with 0xA5 after each but the last."""
    return (b'\xa5' * padding).join(row.tobytes() for row in rows)


def rgb_of_yuv(y: float, u: float, v: float) -> np.ndarray:
    """Video range BT.601."""
    luma = 255 / 219 * (y - 16)
    red, blue = luma + 1.596 * (v - 128), luma + 2.017 * (u - 128)
    return np.clip([red, luma - 0.813 * (v - 128) - 0.392 * (u - 128), blue], 0, 255)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_packed_pixels_equal_a_slow_reference_for_any_size_padding_and_byte_order(data):
    encoding = data.draw(st.sampled_from(sorted(PACKED)))
    sample_bytes, channels, order = PACKED[encoding]
    height, width = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    step = width * channels * sample_bytes + data.draw(st.integers(0, 5))
    big = data.draw(st.booleans())
    seed = data.draw(st.integers(0, 2**32 - 1))
    pixels = np.random.default_rng(seed).integers(0, 256, height * step, np.uint8).tobytes()
    expected = np.empty((height, width, 3), np.uint8)
    for row, column in np.ndindex(height, width):
        for out, channel in enumerate(order):
            at = row * step + (column * channels + channel) * sample_bytes
            sample = pixels[at : at + sample_bytes]
            expected[row, column, out] = int.from_bytes(sample, 'big' if big else 'little') >> (
                8 * (sample_bytes - 1)
            )
    np.testing.assert_array_equal(decode_raw(pixels, height, width, encoding, step, big), expected)


SIZES = st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1))
ENCODINGS = st.one_of(st.sampled_from([*supported_encodings(), '32FC1', '64FC1']), st.text())


@settings(max_examples=300, deadline=None)
@given(SIZES, SIZES, ENCODINGS, SIZES, st.binary(max_size=5000), st.booleans())
def test_any_message_gives_pixels_of_its_size_or_an_image_error(
    height, width, encoding, step, data, big
):
    try:
        found = decode_raw(data, height, width, encoding, step, big)
    except ImageError as error:
        assert str(error)
    else:
        assert found.shape == (height, width, 3) and found.dtype == np.uint8


@settings(max_examples=200, deadline=None)
@given(SIZES, SIZES, st.sampled_from(['16UC1', '32FC1']), SIZES, st.binary(max_size=5000))
def test_any_depth_message_gives_metres_of_its_size_or_an_image_error(
    height, width, encoding, step, data
):
    try:
        found = decode_depth(data, height, width, encoding, step)
    except ImageError as error:
        assert str(error)
    else:
        assert found.shape == (height, width) and found.dtype == np.float32
        assert np.isfinite(found).all() and (found >= 0).all()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_message_that_fits_its_size_is_never_refused(data):
    encoding = data.draw(st.sampled_from(supported_encodings()))
    height, width = 2 * data.draw(st.integers(2, 12)), 2 * data.draw(st.integers(2, 12))
    row_bytes = width * BYTES_OF_A_PIXEL.get(encoding, 1)
    step = row_bytes + data.draw(st.integers(0, 9))
    rows = {'nv21': height * 3 // 2, 'nv24': 3 * height}.get(encoding, height)
    filler = data.draw(st.integers(0, 255))
    found = decode_raw(bytes([filler]) * (rows * step), height, width, encoding, step)
    assert found.shape == (height, width, 3)


def test_an_image_of_absurd_size_is_refused_before_any_of_it_is_read():
    for decode, encoding in ((decode_raw, 'mono8'), (decode_depth, '16UC1')):
        with pytest.raises(ImageError, match='64001 x 1000 pixels, expected at most 64000000'):
            decode(b'', 1000, 64001, encoding, 2 * 64001)


@pytest.mark.parametrize('pattern', PATTERNS)
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('size', [(32, 40), (31, 37)])
def test_a_mosaic_gives_its_colours_back(pattern, big, bits, size):
    image = smooth_image(*size)
    samples = mosaic_of(image, pattern)
    if bits == 16:
        samples = (samples.astype(np.uint16) << 8).astype('>u2' if big else '<u2')
    step = size[1] * bits // 8 + 3
    found = decode_raw(padded(samples, 3), *size, f'bayer_{pattern}{bits}', step, big)
    inside = (slice(2, -2), slice(2, -2))
    assert np.abs(found[inside].astype(int) - image[inside]).max() <= 2


@pytest.mark.parametrize('encoding', ['yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv'])
def test_yuv422_shares_the_colour_of_two_pixels(encoding):
    rng = np.random.default_rng(1)
    y, uv = rng.integers(16, 236, (5, 6), np.uint8), rng.integers(60, 200, (5, 3, 2), np.uint8)
    u, v = uv[..., 0], uv[..., 1]
    in_turn = (u, y[:, ::2], v, y[:, 1::2]) if encoding in ('yuv422', 'uyvy') else None
    packed = np.stack(in_turn or (y[:, ::2], u, y[:, 1::2], v), axis=2).reshape(5, 12)
    found = decode_raw(padded(packed, 4), 5, 6, encoding, 16)
    for row, column in np.ndindex(5, 6):
        expected = rgb_of_yuv(y[row, column], *uv[row, column // 2].astype(float))
        np.testing.assert_allclose(found[row, column], expected, atol=2)


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('encoding', ['nv21', 'nv24'])
def test_planar_yuv_takes_its_colour_from_the_second_plane(encoding, padding):
    rng = np.random.default_rng(2)
    shared = 2 if encoding == 'nv21' else 1  # pixels a side with one colour
    y = rng.integers(16, 236, (4, 6), np.uint8)
    chroma = rng.integers(60, 200, (4 // shared, 6 // shared, 2), np.uint8)
    rows = padded(chroma.reshape(4 // shared, -1), padding * (3 - shared))
    found = decode_raw(padded(y, padding) + b'\0' * padding + rows, 4, 6, encoding, 6 + padding)
    for row, column in np.ndindex(4, 6):
        first, second = chroma[row // shared, column // shared].astype(float)
        u, v = (second, first) if encoding == 'nv21' else (first, second)
        np.testing.assert_allclose(found[row, column], rgb_of_yuv(y[row, column], u, v), atol=2)


# Without OpenCV's generic types, of which the other reader knows no colours, and the planar ones.
@pytest.mark.parametrize('encoding', [e for e in supported_encodings() if e[0] in 'rbmuy'])
def test_an_independent_reader_finds_the_same_pixels(encoding):
    reader = pytest.importorskip('rosbags.image', reason='needs rosbags-image')
    channels = {'rgba': 4, 'bgra': 4, 'rgb': 3, 'bgr': 3, 'yu': 2, 'uy': 2, 'mono': 1, 'bayer': 1}
    num_samples = 10 * next(n for start, n in channels.items() if encoding.startswith(start))
    step = num_samples * (2 if encoding.endswith('16') else 1)
    data = np.random.default_rng(3).integers(0, 256, 8 * step, np.uint8)
    size = {'height': 8, 'width': 10, 'step': step}
    msg = SimpleNamespace(data=data, encoding=encoding, is_bigendian=0, **size)
    expected = reader.message_to_cvimage(msg, 'rgb8')
    found = decode_raw(data, encoding=encoding, **size)
    # Of 16 bits we keep the high byte before a demosaic, the other scales by 255 / 65535 after it.
    tolerance = 2 if encoding.endswith('16') else 0
    assert np.abs(found.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize('kind', [bytes, bytearray, memoryview, lambda b: array('B', b)])
def test_any_buffer_gives_an_array_that_is_ours_alone(kind):
    data = kind(bytes(range(18)))
    image = decode_raw(data, 2, 3, 'rgb8', 9)
    assert image.tobytes() == bytes(range(18))
    assert image.flags.writeable and image.flags.c_contiguous and image.flags.owndata
    image[:] = 0
    assert bytes(data) == bytes(range(18))


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'mono8'])
def test_a_vga_image_costs_less_than_a_millisecond(encoding):
    step = 640 * (1 if encoding == 'mono8' else 3)
    data = bytes(480 * step)
    times_s = []
    for _ in range(50):
        start = time.perf_counter()
        decode_raw(data, 480, 640, encoding, step)
        times_s.append(time.perf_counter() - start)
    assert min(times_s) < 1e-3


def test_depth_is_in_metres_and_zero_where_unknown():
    millimetres = np.array([[0, 1500, 65535]], '>u2')
    found = decode_depth(millimetres.tobytes(), 1, 3, '16UC1', 6, is_bigendian=True)
    np.testing.assert_allclose(found, [[0, 1.5, 65.535]])
    metres = np.array([[1.25, np.nan], [np.inf, -1]], '<f4')
    found = decode_depth(padded(metres, 5), 2, 2, '32FC1', 13)
    np.testing.assert_array_equal(found, np.array([[1.25, 0], [0, 0]], np.float32))
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'height': 0}, r'is 4 x 0 pixels .* expected at least 1 x 1'),
        ({'width': 0}, r'is 0 x 2 pixels .* expected at least 1 x 1'),
        ({'step': 11}, r'rgb8 image of 4 x 2 pixels: step is 11 bytes, but a row takes 12'),
        ({'step': 0}, r'step is 0 bytes, but a row takes 12'),
        ({'data': bytes(23)}, r'found 23 bytes, expected 24 \(2 rows of 12\)'),
        ({'data': b''}, r'found 0 bytes, expected 24'),
        ({'encoding': 'RGB8'}, r"unknown image encoding 'RGB8', did you mean rgb8\? .*nv21"),
        ({'encoding': 'h264'}, r"unknown image encoding 'h264', Supported are rgb8"),
        ({'encoding': ''}, r"unknown image encoding '', Supported are rgb8"),
        ({'encoding': '32FC1'}, r'32FC1 is depth in metres, not an image'),
        ({'encoding': '32FC3'}, r"unknown image encoding '32FC3'"),
        ({'encoding': 'yuyv', 'width': 3}, r'yuyv image of 3 x 2 pixels: .* even width'),
        ({'encoding': 'nv21', 'height': 1}, r'nv21 image of 4 x 1 pixels: .* even width and hei'),
        (
            {'encoding': 'nv24', 'step': 4, 'data': bytes(23)},
            r'colour of nv24 .* found 15 bytes, expected 16',
        ),
        ({'encoding': 'bayer_rggb8'}, r'a Bayer mosaic has at least 3 pixels a side'),
    ],
)
def test_a_wrong_image_is_refused_with_what_was_found_and_expected(change, message):
    sound = {'data': bytes(24), 'height': 2, 'width': 4, 'encoding': 'rgb8', 'step': 12}
    decode_raw(**sound)
    with pytest.raises(ImageError, match=message):
        decode_raw(**(sound | change))


def test_an_image_of_nan_is_refused():
    nan = np.full((2, 4), np.nan, np.float32)
    with pytest.raises(ImageError, match='32FC1 is depth in metres'):
        decode_raw(nan, 2, 4, '32FC1', 16)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'encoding': 'rgb8'}, r"'rgb8' is no depth image; expected 16UC1 .* or 32FC1"),
        ({'height': 0}, r'is 4 x 0 pixels'),
        ({'step': 7}, r'16UC1 depth image of 4 x 2 pixels: step is 7 bytes, but a row takes 8'),
        ({'data': bytes(15)}, r'found 15 bytes, expected 16'),
    ],
)
def test_a_wrong_depth_image_is_refused(change, message):
    sound = {'data': bytes(16), 'height': 2, 'width': 4, 'encoding': '16UC1', 'step': 8}
    decode_depth(**sound)
    with pytest.raises(ImageError, match=message):
        decode_depth(**(sound | change))


def test_the_chosen_bayer_codes_are_those_that_newer_opencv_names_as_ros_does():
    if not hasattr(cv2, 'COLOR_BayerRGGB2RGB'):
        pytest.skip('this OpenCV has only the old names')
    mosaic = np.random.default_rng(4).integers(0, 256, (8, 8), np.uint8)
    for pattern in PATTERNS:
        code = getattr(cv2, f'COLOR_Bayer{pattern.upper()}2RGB')
        found = decode_raw(mosaic, 8, 8, f'bayer_{pattern}8', 8)
        np.testing.assert_array_equal(found, cv2.cvtColor(mosaic, code))

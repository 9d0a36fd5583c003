"""JPEG and PNG, against OpenCV's decoder."""

from __future__ import annotations

import io
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from cerfevpr_core.errors import ImageError
from cerfevpr_core.pixel_formats import decode_compressed

IMAGE = cv2.GaussianBlur(
    np.random.default_rng(5).integers(0, 256, (61, 53, 3), np.uint8), (7, 7), 2
)


def encoded(image: np.ndarray, suffix: str = '.png') -> bytes:
    """The file OpenCV makes of RGB(A) or grey pixels."""
    if image.ndim == 3:
        code = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
        image = cv2.cvtColor(image, code)
    return cv2.imencode(suffix, image)[1].tobytes()


def saved(image: Image.Image, **options) -> bytes:
    """The PNG file, or the one of `format`, that Pillow makes."""
    file = io.BytesIO()
    image.save(file, **({'format': 'PNG'} | options))
    return file.getvalue()


def opencv_rgb(data: bytes) -> np.ndarray:
    """What OpenCV reads, with pixels as they are stored."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), flags), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize('format', ['jpeg', '', 'rgb8; jpeg compressed bgr8', 'mono8; jpeg'])
def test_a_jpeg_is_what_opencv_reads(format):
    data = encoded(IMAGE, '.jpg')
    found = decode_compressed(data, format)
    assert np.abs(found.astype(int) - opencv_rgb(data)).max() <= 2
    assert np.abs(found.astype(int) - IMAGE).mean() < 3
    assert found.flags.writeable and found.flags.c_contiguous


@pytest.mark.parametrize('format', ['png', 'rgb8; png compressed bgr8', 'jpeg'])
def test_a_png_gives_its_pixels_back(format):
    np.testing.assert_array_equal(decode_compressed(encoded(IMAGE), format), IMAGE)


GREY = np.arange(61 * 53, dtype=np.uint16).reshape(61, 53) * 20
FILES = {
    'grey jpeg': saved(Image.fromarray(IMAGE[..., 0]), format='JPEG'),
    'progressive jpeg': saved(Image.fromarray(IMAGE), format='JPEG', progressive=True),
    'rotated by exif': saved(Image.fromarray(IMAGE), format='JPEG', exif=b'Exif\0\0MM\0*\0\0\0\x08'
                             b'\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0'),
    'grey png': encoded(IMAGE[..., 0]),
    '16-bit grey png': encoded(GREY),
    '16-bit colour png': encoded(IMAGE.astype(np.uint16) << 8 | 0x35),
    'alpha png': encoded(np.dstack([IMAGE, IMAGE[..., 1]])),
    'grey alpha png': saved(Image.fromarray(IMAGE[..., 0]).convert('LA')),
    'palette png': saved(Image.fromarray(IMAGE).quantize(16)),
    'black and white png': saved(Image.fromarray(IMAGE[..., 0]).convert('1')),
}  # fmt: skip


@pytest.mark.parametrize('kind', FILES)
def test_every_kind_of_file_is_what_opencv_reads(kind):
    found, expected = decode_compressed(FILES[kind], ''), opencv_rgb(FILES[kind])
    assert found.shape == expected.shape == (61, 53, 3)
    assert np.abs(found.astype(int) - expected).max() <= (2 if 'jpeg' in kind else 0)


def test_an_independent_reader_of_messages_finds_the_same_pixels():
    reader = pytest.importorskip('rosbags.image', reason='needs rosbags-image')
    msg = type('Msg', (), {'data': encoded(IMAGE), 'format': 'rgb8; png compressed bgr8'})
    expected = reader.message_to_cvimage(msg, 'rgb8')
    np.testing.assert_array_equal(decode_compressed(msg.data, msg.format), expected)


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
@pytest.mark.parametrize('bits', [8, 16])
def test_a_compressed_mosaic_gives_its_colour_back(pattern, bits):
    color = {'r': 200, 'g': 120, 'b': 30}
    mosaic = np.tile([[color[c] for c in pattern[:2]], [color[c] for c in pattern[2:]]], (8, 10))
    data = encoded(mosaic.astype(np.uint8) if bits == 8 else (mosaic << 8).astype(np.uint16))
    found = decode_compressed(data, f'bayer_{pattern}{bits}; png compressed ')
    np.testing.assert_array_equal(found, np.full((16, 20, 3), list(color.values())))


def test_a_colour_file_is_no_mosaic_whatever_its_format_says():
    found = decode_compressed(encoded(IMAGE), 'bayer_rggb8; png compressed ')
    np.testing.assert_array_equal(found, IMAGE)


def test_a_mosaic_that_was_made_grey_before_it_was_compressed_stays_grey():
    found = decode_compressed(encoded(IMAGE[..., 0]), 'bayer_rggb8; jpeg compressed mono8')
    np.testing.assert_array_equal(found, IMAGE[..., [0, 0, 0]])


def test_a_file_that_the_publisher_made_of_rgb_as_if_bgr_has_its_colours_swapped_back():
    swapped = encoded(IMAGE[..., ::-1])
    np.testing.assert_array_equal(decode_compressed(swapped, 'rgb8; png compressed rgb8'), IMAGE)


def test_a_jpeg_cut_at_any_byte_is_refused():
    data = encoded(IMAGE, '.jpg')
    for length in range(1, len(data)):
        with pytest.raises(ImageError, match=r'is cut short or damaged|is neither JPEG nor PNG'):
            decode_compressed(data[:length], 'jpeg')


def test_a_png_cut_at_any_byte_is_refused_or_lacks_no_pixel():
    data = encoded(IMAGE)
    for length in range(1, len(data) - 24):
        with pytest.raises(ImageError, match=r'is cut short or damaged|is neither JPEG nor PNG'):
            decode_compressed(data[:length], 'png')
    for length in range(len(data) - 24, len(data)):  # the checksum and the end mark
        try:
            found = decode_compressed(data[:length], 'png')
        except ImageError:
            continue
        np.testing.assert_array_equal(found, IMAGE)


def test_damaged_bytes_raise_nothing_but_image_errors():
    rng = np.random.default_rng(6)
    for data in (encoded(IMAGE, '.jpg'), encoded(IMAGE)):
        for _ in range(300):
            damaged = bytearray(data)
            for at in rng.integers(0, len(data), 3):
                damaged[at] = rng.integers(256)
            try:
                found = decode_compressed(damaged, 'jpeg')
            except ImageError:
                continue
            assert found.dtype == np.uint8 and found.shape[2] == 3


def bomb(width: int, height: int) -> bytes:
    """A tiny PNG that claims to be huge."""
    header = b'IHDR' + width.to_bytes(4, 'big') + height.to_bytes(4, 'big') + b'\x08\2\0\0\0'
    data = b'IDAT' + zlib.compress(bytes(1000))
    chunks = [header, data, b'IEND']
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        (len(c) - 4).to_bytes(4, 'big') + c + zlib.crc32(c).to_bytes(4, 'big') for c in chunks
    )


@pytest.mark.parametrize(
    ('data', 'format', 'message'),
    [
        (b'', 'jpeg', r"format 'jpeg'\) is empty, expected a JPEG or PNG"),
        (np.empty(0, np.uint8), 'jpeg', r'is empty'),
        (b'\0\0\0\1\x67', 'h264', r"format 'h264', 5 bytes that start with 00 00 00 01\) is neit"),
        (cv2.imencode('.webp', IMAGE)[1], 'webp', r'start with 52 49 46 46\) is neither JPEG nor'),
        (encoded(IMAGE, '.jpg')[:900], 'jpeg', r'900 bytes\) is cut short or damaged: .*a whole'),
        (encoded(IMAGE), '16UC1; compressedDepth png', r'is a depth image.*ends in /compressed'),
        (bomb(8001, 8000), 'png', r'8001 x 8000 pixels, expected at most 64000000'),
        (bomb(60000, 60000), 'png', r'3600000000 pixels.* expected at most 64000000'),
        (encoded(IMAGE[:2, :, 0]), 'bayer_rggb8; png compressed ', r'mosaic has at least 3 pix'),
        (encoded(IMAGE[..., 0]), 'bayer_abcd8; png compressed ', r"unknown .* 'bayer_abcd8'"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_was_found_and_expected(data, format, message):
    with pytest.raises(ImageError, match=message):
        decode_compressed(data, format)

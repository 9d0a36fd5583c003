"""Image messages that must be refused, and must cost nothing but themselves."""

from __future__ import annotations

import random
import struct
import zlib
from typing import Any

import cv2
from sensor_msgs.msg import CompressedImage, Image

from cerfevpr_core.pixel_formats import RGB

_HUGE = 2**32 - 1  # of a uint32


def bad_images(image: RGB, chance: random.Random) -> dict[str, Image | CompressedImage]:
    """One of each kind, by name."""
    jpeg = cv2.imencode('.jpg', image[..., ::-1])[1].tobytes()
    png = cv2.imencode('.png', image[..., ::-1])[1].tobytes()
    noise = bytes(chance.randrange(256) for _ in range(1000))
    return {
        'cut jpeg': _compressed(jpeg[: len(jpeg) // 2]),
        'cut png': _compressed(png[: len(png) // 3]),
        'noise': _compressed(noise),
        'noise after a jpeg header': _compressed(jpeg[:20] + noise),
        'empty file': _compressed(b''),
        'jpeg bomb': _compressed(jpeg_that_claims(jpeg, 60000, 60000)),
        'png bomb': _compressed(png_bomb(60000)),
        'gif': _compressed(b'GIF89a\xff\xff\xff\xff' + bytes(50)),
        'short step': _raw(step=5),
        'no pixels': _raw(height=0, width=0, step=0, data=b''),
        'absurd size': _raw(height=_HUGE, width=_HUGE, step=_HUGE),
        'absurd height': _raw(height=_HUGE, width=1, step=0),
        'no bytes': _raw(height=480, width=640, step=1920, data=b''),
        'depth': _raw(encoding='32FC1', step=8, data=bytes(16)),
        'unknown encoding': _raw(encoding='rgb' * 1000),
    }


def jpeg_that_claims(jpeg: bytes, width: int, height: int) -> bytes:
    """The same file with another size in its frame header."""
    start = jpeg.index(b'\xff\xc0') + 5  # SOF0: marker, length, precision, height, width
    return jpeg[:start] + struct.pack('>HH', height, width) + jpeg[start + 4 :]


def png_bomb(side: int) -> bytes:
    """A valid grey PNG of side x side pixels whose rows compress a thousand times."""
    deflate = zlib.compressobj(9)
    rows = b''.join(deflate.compress(bytes(side // 8 + 1)) for _ in range(side)) + deflate.flush()
    header = struct.pack('>IIBBBBB', side, side, 1, 0, 0, 0, 0)  # 1 bit a pixel
    chunks = (b'IHDR', header), (b'IDAT', rows), (b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _compressed(data: bytes) -> CompressedImage:
    return CompressedImage(format='jpeg', data=data)


def _raw(**fields: Any) -> Image:
    small = {'height': 2, 'width': 2, 'encoding': 'rgb8', 'step': 6, 'data': bytes(12)}
    return Image(**(small | fields))

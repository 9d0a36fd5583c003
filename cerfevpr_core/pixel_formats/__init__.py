"""The pixels of messages, bags and compressed images -> RGB and depth arrays."""

from cerfevpr_core.pixel_formats.compressed import decode_compressed
from cerfevpr_core.pixel_formats.depth import decode_depth, decode_depth_png
from cerfevpr_core.pixel_formats.raw import decode_raw
from cerfevpr_core.pixel_formats.rows import RGB, Depth, PixelData

__all__ = [
    'RGB',
    'Depth',
    'PixelData',
    'decode_compressed',
    'decode_depth',
    'decode_depth_png',
    'decode_raw',
]

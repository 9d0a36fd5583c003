"""The pixels of messages, bags and compressed images -> RGB and depth arrays."""

from cerfevpr_core.encodings.compressed import decode_compressed
from cerfevpr_core.encodings.depth import decode_depth
from cerfevpr_core.encodings.raw import decode_raw
from cerfevpr_core.encodings.rows import RGB, Depth, PixelData

__all__ = ['RGB', 'Depth', 'PixelData', 'decode_compressed', 'decode_depth', 'decode_raw']

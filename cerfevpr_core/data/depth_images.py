"""Depth images beside the images of a traverse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import ConfigError, ImageError
from cerfevpr_core.pixel_formats import decode_depth_png

_UNKNOWN_MM = 65535  # as some sensors write what they do not know; others write 0


class DepthImages:
    """A folder of 16-bit PNG files in millimetres, each named like its image (000001.png).

    Raises ConfigError for a folder without any.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {file.stem: file for file in sorted(folder.glob('*.png'))}
        if not self.files:
            raise ConfigError(
                f'no depth images in {folder}; expected 16-bit png files in millimetres, named '
                'like the images'
            )

    def find(self, name: str, stamp_ns: int = 0) -> NDArray[np.float32] | None:
        """Depth (H, W) in metres of the image of this name, 0 where unknown; None without one.

        The stamp says nothing here. Raises ImageError for a file that is not a depth image.
        """
        file = self.files.get(Path(name).stem)
        if file is None:
            return None
        try:
            millimetres = decode_depth_png(file.read_bytes())
        except OSError as error:
            raise ImageError(f'cannot read {file}: {error.strerror}; check the path') from None
        except ImageError as error:
            raise ImageError(f'{file}: {error}') from None
        depth_m = millimetres.astype(np.float32) / np.float32(1000)
        depth_m[millimetres == _UNKNOWN_MM] = 0
        return depth_m

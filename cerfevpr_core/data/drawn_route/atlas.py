"""All pictures of a scene in one image, each averaged down in both directions separately.

A front seen along the street shrinks in width much more than in height. A ripmap keeps every
combination of the two scales, so that it neither flickers nor blurs.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LEVELS = 5
WIDTH_PX = 8192


class Atlas:
    """`pixels` (h, w, 3) uint8; `places` (n, 4): left, top, width, height of picture n.

    Level (a, b) of a picture of W x H starts at (2 W (1 - 2^-a), 2 H (1 - 2^-b)) from its corner.
    """

    def __init__(self, pictures: list[NDArray[np.uint8]]) -> None:
        sizes = np.array([(p.shape[1], p.shape[0]) for p in pictures])
        corners, height = _pack(2 * sizes)
        self.places = np.concatenate([corners, sizes], axis=1).astype(np.float32)
        self.pixels = np.zeros((height, WIDTH_PX, 3), np.uint8)
        for picture, (left, top) in zip(pictures, corners, strict=True):
            self._store(picture, int(left), int(top))

    def _store(self, picture: NDArray[np.uint8], left: int, top: int) -> None:
        for _ in range(LEVELS):
            x, wide = left, picture
            for _ in range(LEVELS):
                self.pixels[top : top + wide.shape[0], x : x + wide.shape[1]] = wide
                x += wide.shape[1]
                wide = halved(wide, 1)
            top += picture.shape[0]
            picture = halved(picture, 0)


def halved(picture: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    """Half as many rows (axis 0) or columns (axis 1), never none."""
    height, width = picture.shape[:2]
    size = (max(1, width // 2), height) if axis else (width, max(1, height // 2))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _pack(sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Corners (n, 2) of blocks (n, 2) laid on shelves, tallest first, and the height in all."""
    corners = np.zeros_like(sizes)
    x = y = shelf = 0
    for i in np.argsort(-sizes[:, 1], kind='stable'):
        width, height = sizes[i]
        if x + width > WIDTH_PX:
            x, y, shelf = 0, y + shelf, 0
        corners[i] = (x, y)
        x, shelf = x + width, max(shelf, int(height))
    return corners, y + shelf


def cover_levels(cover: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Masks of a transparent picture at halved sizes; thin parts fade instead of vanishing."""
    levels = [cover]
    for _ in range(LEVELS - 1):
        levels.append(halved(halved(levels[-1], 0), 1))
    return levels

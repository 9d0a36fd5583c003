"""A small sequence in the layout of 7-Scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from samples import picture


def textured(seed: int) -> np.ndarray:
    """BGR (480, 640, 3) with something to find in it: blotches of several sizes."""
    rng = np.random.default_rng(seed)
    grey = np.zeros((480, 640))
    for size in (12, 40, 120):
        grey += cv2.resize(rng.random((size * 3 // 4, size)), (640, 480)) / 3
    return cv2.cvtColor((255 * grey).astype(np.uint8), cv2.COLOR_GRAY2BGR)


def write_scene(folder: Path, places: Sequence[int] = (0, 1, 2, 3), every: int = 2) -> Path:
    """Frames 0, 5, 10, ... of a wall 2 m away; place n is n metres along x.

    Every so many have depth.
    """
    folder.mkdir()
    (folder / 'camera-intrinsics.txt').write_text('585 0 320\n0 585 240\n0 0 1\n')
    (folder / 'gravity-direction.txt').write_text('0 1 0')
    for number, place in enumerate(places):
        file = folder / f'frame-{5 * number:06}'
        cv2.imwrite(f'{file}.color.jpg', textured(place))
        pose = np.eye(4)
        pose[0, 3] = place
        np.savetxt(f'{file}.pose.txt', pose)
        if number % every == 0:
            depth = np.full((480, 640), 2000, np.uint16)
            depth[0], depth[1] = 0, 65535
            cv2.imwrite(f'{file}.depth.png', depth)
    return folder


def write_small_frame(folder: Path) -> None:
    """The first frame in another size."""
    cv2.imwrite(str(folder / 'frame-000000.color.jpg'), picture(0))

"""A sequence of 7-Scenes: the first half of its frames as map, the second half as queries.

`frame-000000.color.jpg` (or png), `.pose.txt` (4 x 4, camera to world), for some frames
`.depth.png` (16-bit millimetres; 0 and 65535 unknown), and `camera-intrinsics.txt`, which is that
of the depth camera: the two cameras of the sensor are not registered. Where the colour camera
stands is the maker's nominal value, which the edges of both images agree with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import ConfigError, ImageError
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.images import list_images, read_image
from cerfevpr_core.pixel_formats import decode_depth_png

from .depth import depth_seen_by
from .posed import Nearby, PosedFrame, RelocalizationSet

NEARBY = Nearby(radius_m=0.7, turn_deg=30.0)
COLOUR_FOCAL_PX = 525.0  # of 640 x 480 pixels
BASELINE_M = 0.025  # the colour camera is so far right of the depth camera
_UNKNOWN_MM = (0, 65535)
_INTRINSICS = 'camera-intrinsics.txt'


class SevenScenesFrames:
    """Some frames of a sequence, those with depth in the pixels of the colour camera.

    Poses are those of the colour camera.
    """

    def __init__(self, files: Sequence[Path], depth_camera: Camera) -> None:
        self.files = files
        self.depth_camera = depth_camera
        self.camera = replace(depth_camera, fx=COLOUR_FOCAL_PX, fy=COLOUR_FOCAL_PX)

    def __len__(self) -> int:
        return len(self.files)

    def frame(self, number: int) -> PosedFrame:
        """One frame. Raises ConfigError and ImageError, naming the file."""
        file = self.files[number]
        name = _name(file)
        image = read_image(file)
        if image.shape[:2] != (self.camera.height_px, self.camera.width_px):
            raise ImageError(
                f'{file} is {image.shape[1]} x {image.shape[0]} pixels; expected '
                f'{self.camera.width_px} x {self.camera.height_px}, as 7-Scenes comes'
            )
        to_map = _numbers(file.with_name(f'{name}.pose.txt'), (4, 4)) @ _COLOUR_IN_DEPTH
        depth = self._depth_m(file.with_name(f'{name}.depth.png'))
        return PosedFrame(name, image, Pose.from_matrix(to_map), depth)

    def _depth_m(self, file: Path) -> NDArray[np.float32] | None:
        if not file.exists():
            return None
        try:
            millimetres = decode_depth_png(file.read_bytes())
        except ImageError as error:
            raise ImageError(f'{file}: {error}') from None
        known = ~np.isin(millimetres, _UNKNOWN_MM)
        depth_m = np.where(known, millimetres / np.float32(1000), np.float32(np.nan))
        return depth_seen_by(
            self.camera, depth_m, self.depth_camera, np.linalg.inv(_COLOUR_IN_DEPTH)
        )


_COLOUR_IN_DEPTH = np.eye(4)
_COLOUR_IN_DEPTH[0, 3] = BASELINE_M


def is_seven_scenes(folder: Path) -> bool:
    """Whether a folder is laid out as 7-Scenes is."""
    return (folder / _INTRINSICS).is_file()


def seven_scenes_relocalization(folder: Path) -> RelocalizationSet:
    """First half map, second half queries. Raises ConfigError where parts are missing."""
    if not is_seven_scenes(folder):
        raise ConfigError(
            f'{folder} has no {_INTRINSICS}; expected a sequence of 7-Scenes, with '
            'frame-000000.color.jpg, .pose.txt and .depth.png'
        )
    files = [file for file in list_images(folder) if _suffix(file) == 'color']
    if len(files) < 2:
        raise ConfigError(f'{folder} has {len(files)} frames; expected two or more')
    k = _numbers(folder / _INTRINSICS, (3, 3))
    camera = Camera(640, 480, k[0, 0], k[1, 1], k[0, 2], k[1, 2])
    half = len(files) // 2
    known, asked = (SevenScenesFrames(part, camera) for part in (files[:half], files[half:]))
    return RelocalizationSet(folder.name, known, {'second half': asked}, NEARBY)


def _name(file: Path) -> str:
    return file.name.split('.')[0]


def _suffix(file: Path) -> str:
    return file.name.split('.')[1]


def _numbers(file: Path, shape: tuple[int, int]) -> NDArray[np.float64]:
    """A matrix of text. Raises ConfigError, naming the file."""
    try:
        matrix = np.loadtxt(file).reshape(shape)
    except OSError as error:
        raise ConfigError(f'cannot read {file}: {error.strerror or error}') from None
    except ValueError:
        matrix = np.full(shape, np.nan)
    if not np.isfinite(matrix).all():
        raise ConfigError(f'{file}: expected {shape[0]} x {shape[1]} finite numbers')
    return matrix

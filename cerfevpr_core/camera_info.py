"""ROS's CameraInfo, of a live topic or of a bag -> the camera of the image that it comes with."""

from __future__ import annotations

import math
from typing import Any

from cerfevpr_core.errors import ConfigError
from cerfevpr_core.geometry import Camera

_NO_DISTORTION = (0.0, 0.0, 0.0, 0.0, 0.0)


def camera_of_info(info: Any, rectified: bool = False) -> Camera:
    """The camera of the raw image, or of the rectified one: its binning and region are counted in.

    `info` is a message of either ROS. Raises ConfigError for a camera without calibration and for
    a distortion that is not plumb_bob.
    """
    # CameraInfo.msg: K, D and P are those of the whole sensor; the image is a region of it (all
    # of it if its size is 0) whose pixels are then binned.
    binning_x, binning_y = max(info.binning_x, 1), max(info.binning_y, 1)
    d = [float(value) for value in _either(info, 'd')]
    if rectified:
        fx, _, cx, _, _, fy, cy, *_ = (float(value) for value in _either(info, 'p'))
    else:
        fx, _, cx, _, fy, cy, *_ = (float(value) for value in _either(info, 'k'))
    if not (fx > 0 and fy > 0) or not all(map(math.isfinite, (fx, fy, cx, cy, *d))):
        raise ConfigError(
            f'camera_info has focal lengths {fx:g} and {fy:g} pixels and centre ({cx:g}, {cy:g}), '
            'expected finite numbers, the lengths positive; '
            'calibrate the camera (camera_calibration) and give its driver the file'
        )
    return Camera(
        width_px=int(info.roi.width or info.width) // binning_x,
        height_px=int(info.roi.height or info.height) // binning_y,
        fx=fx / binning_x,
        fy=fy / binning_y,
        cx=(cx - info.roi.x_offset) / binning_x,
        cy=(cy - info.roi.y_offset) / binning_y,
        distortion=_NO_DISTORTION if rectified else _distortion(info.distortion_model, d),
    )


def _either(info: Any, name: str) -> Any:
    """ROS 1 writes K, D and P."""
    return getattr(info, name) if hasattr(info, name) else getattr(info, name.upper())


def _distortion(model: str, d: list[float]) -> tuple[float, ...]:
    if not any(d):
        return _NO_DISTORTION
    if model != 'plumb_bob' or len(d) > len(_NO_DISTORTION):
        raise ConfigError(
            f'camera_info has distortion {model!r} with {len(d)} numbers, expected plumb_bob '
            'with 5 (k1, k2, p1, p2, k3); localize on the rectified image, or calibrate with '
            'this model'
        )
    return (*d, *_NO_DISTORTION[len(d) :])

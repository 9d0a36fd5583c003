"""Poses and cameras, as every stage and every message sees them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import ConfigError


@dataclass(frozen=True)
class Pose:
    """Camera in map: the optical frame (x right, y down, z forward) in a z-up metric frame.

    `position_m` is (x, y, z); `quaternion` is (x, y, z, w), unit length.
    """

    position_m: tuple[float, float, float]
    quaternion: tuple[float, float, float, float]

    @staticmethod
    def from_matrix(matrix: NDArray[np.float64]) -> Pose:
        """From the 4 x 4 transform that takes camera points to the map."""
        return Pose(
            (float(matrix[0, 3]), float(matrix[1, 3]), float(matrix[2, 3])),
            _quaternion_from_rotation(np.asarray(matrix[:3, :3], np.float64)),
        )

    def matrix(self) -> NDArray[np.float64]:
        """The 4 x 4 transform that takes camera points to the map."""
        x, y, z, w = self.quaternion
        out = np.eye(4)
        out[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        out[:3, 3] = self.position_m
        return out

    def __matmul__(self, other: Pose) -> Pose:
        """One after the other: base in map @ camera in base is camera in map."""
        return Pose.from_matrix(self.matrix() @ other.matrix())


@dataclass(frozen=True)
class Camera:
    """Pinhole intrinsics in pixels, with ROS's `plumb_bob` distortion (k1, k2, p1, p2, k3)."""

    width_px: int
    height_px: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0)

    def matrix(self) -> NDArray[np.float64]:
        """The 3 x 3 intrinsic matrix K."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], np.float64)


def parse_pose(text: str, what: str) -> Pose:
    """`x y z qx qy qz qw` in metres and a unit quaternion. Raises ConfigError, naming `what`."""
    try:
        x, y, z, *quaternion = (float(number) for number in text.split())
        qx, qy, qz, qw = quaternion
        length = math.hypot(*quaternion)
    except ValueError:
        x = y = z = length = math.nan
    if not math.isfinite(x + y + z) or not 0.9 < length < 1.1:
        raise ConfigError(
            f'wrong {what} {text!r}: expected x, y, z in metres and a unit quaternion qx, qy, qz, '
            "qw, as '0.3 0 1.0 -0.5 0.5 -0.5 0.5'"
        )
    return Pose((x, y, z), (qx / length, qy / length, qz / length, qw / length))


def _quaternion_from_rotation(r: NDArray[np.float64]) -> tuple[float, float, float, float]:
    # The largest of the four squared components is the divisor: stable for every rotation.
    squares = np.array(
        [
            1 + r[0, 0] - r[1, 1] - r[2, 2],
            1 - r[0, 0] + r[1, 1] - r[2, 2],
            1 - r[0, 0] - r[1, 1] + r[2, 2],
            1 + r[0, 0] + r[1, 1] + r[2, 2],
        ]
    )
    largest = int(np.argmax(squares))
    s = 2 * np.sqrt(squares[largest])
    xy, xz, yz = r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] + r[1, 2]
    wx, wy, wz = r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
    rows = [(s * s / 4, xy, xz, wx), (xy, s * s / 4, yz, wy), (xz, yz, s * s / 4, wz)]
    rows.append((wx, wy, wz, s * s / 4))
    x, y, z, w = (float(v / s) for v in rows[largest])
    return (x, y, z, w) if w >= 0 else (-x, -y, -z, -w)

"""How a robot moved between two images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cerfevpr_core.geometry import Pose

SLIP = 0.1  # of the distance driven that odometry may be wrong by, where nobody says better
SLIP_DEG = 3.0


@dataclass(frozen=True)
class Motion:
    """`relative`: the camera now in the frame of the camera at the last image (optical frames).

    `sigma_m` and `sigma_deg` are standard deviations of where it is and of where it looks.
    """

    relative: Pose
    sigma_m: float
    sigma_deg: float = SLIP_DEG

    @staticmethod
    def between(before: Pose, now: Pose, sigma_m: float | None = None) -> Motion:
        """From two poses of the camera in any fixed frame, as odometry gives them."""
        matrix = np.linalg.inv(before.matrix()) @ now.matrix()
        distance_m = float(np.linalg.norm(matrix[:3, 3]))
        sigma_m = SLIP * distance_m if sigma_m is None else sigma_m
        return Motion(Pose.from_matrix(matrix), sigma_m)

    @staticmethod
    def planar(distance_m: float, turn_deg: float = 0.0, sigma_m: float | None = None) -> Motion:
        """So far along the optical axis, negative for backwards, then turned to the left."""
        half = np.radians(turn_deg) / 2
        pose = Pose((0.0, 0.0, distance_m), (0.0, -float(np.sin(half)), 0.0, float(np.cos(half))))
        return Motion(pose, SLIP * abs(distance_m) if sigma_m is None else sigma_m)

    @property
    def distance_m(self) -> float:
        """Straight from the last image's place to this one's."""
        return float(np.linalg.norm(self.relative.position_m))

    @property
    def turn_deg(self) -> float:
        """About any axis, 0 to 180."""
        x, y, z, w = self.relative.quaternion
        return float(np.degrees(2 * np.arctan2(np.linalg.norm([x, y, z]), abs(w))))

    def then(self, later: Motion) -> Motion:
        """Both, one after the other; errors add as if they were independent."""
        matrix = self.relative.matrix() @ later.relative.matrix()
        return Motion(
            Pose.from_matrix(matrix),
            float(np.hypot(self.sigma_m, later.sigma_m)),
            float(np.hypot(self.sigma_deg, later.sigma_deg)),
        )

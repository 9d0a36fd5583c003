"""Poses with a covariance: seen from another frame, of another body, and on the ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import CerfeVPRError
from cerfevpr_core.geometry import Pose

Covariance = NDArray[np.float64]  # (6, 6)
_IN_PLANE = [0, 1, 5]  # x, y, yaw
_MAX_ASYMMETRY = 1e-6  # of the largest entry; what was sent as 32-bit passes


@dataclass(frozen=True)
class UncertainPose:
    """A body in a frame.

    `covariance` (6, 6) is of (x, y, z, rotation about the frame's x, y, z axes), as in ROS: the
    true pose has position p + dp and rotation Exp(dw) R.
    """

    pose: Pose
    covariance: Covariance

    def checked(self) -> UncertainPose:
        """Itself. Raises CerfeVPRError for a covariance that cannot be one."""
        c = self.covariance
        sound = c.shape == (6, 6) and bool(np.isfinite(c).all())
        symmetric = sound and np.abs(c - c.T).max() <= _MAX_ASYMMETRY * np.abs(c).max()
        if symmetric and np.linalg.eigvalsh((c + c.T) / 2).min() > 0:
            return self
        raise CerfeVPRError(
            'the pose has a covariance that is not symmetric and positive, expected one that '
            'says how certain x, y, z and the three rotations are; an all-zero one says nothing'
        )

    def of(self, body_in_this: Pose) -> UncertainPose:
        """Another body that is fixed to this one, in the same frame."""
        lever = self.pose.matrix()[:3, :3] @ np.array(body_in_this.position_m)
        moves = np.eye(6)
        moves[:3, 3:] = -cross_matrix(lever)  # p' = p + R l, and Exp(dw) R l = R l + dw x R l
        return UncertainPose(
            self.pose @ body_in_this, _symmetric(moves @ self.covariance @ moves.T)
        )

    def seen_from(self, frame: Pose) -> UncertainPose:
        """The same body in an outer frame, in which this one's frame is known exactly."""
        turn = np.kron(np.eye(2), frame.matrix()[:3, :3])  # (6, 6)
        return UncertainPose(frame @ self.pose, _symmetric(turn @ self.covariance @ turn.T))

    def in_own_axes(self) -> Covariance:
        """The covariance (6, 6) along and about the body's own axes."""
        turn = np.kron(np.eye(2), self.pose.matrix()[:3, :3].T)
        return _symmetric(turn @ self.covariance @ turn.T)

    def on_the_ground(self) -> UncertainPose:
        """The body in the frame's x-y plane: z, roll and pitch and all that is known of them 0."""
        yaw, moves = yaw_of(self.pose), np.zeros((6, 6))
        moves[0, 0] = moves[1, 1] = 1
        moves[5] = _yaw_by_pose(self.pose)
        x, y, _ = self.pose.position_m
        level = Pose((x, y, 0.0), (0.0, 0.0, float(np.sin(yaw / 2)), float(np.cos(yaw / 2))))
        return UncertainPose(level, _symmetric(moves @ self.covariance @ moves.T))

    def in_plane(self) -> NDArray[np.float64]:
        """The covariance (3, 3) of x, y and the rotation about z."""
        return self.covariance[np.ix_(_IN_PLANE, _IN_PLANE)]

    def widened(self, std_m: float, std_deg: float) -> UncertainPose:
        """With an independent error added to x, y, z and to the rotations."""
        more = [std_m**2] * 3 + [np.radians(std_deg) ** 2] * 3
        return UncertainPose(self.pose, self.covariance + np.diag(more))


def yaw_of(pose: Pose) -> float:
    """The angle of a body's x axis from the frame's, in the x-y plane, radians."""
    forward = pose.matrix()[:3, 0]
    return float(np.arctan2(forward[1], forward[0]))


def tilt_deg(pose: Pose) -> float:
    """The angle of a body's z axis from the frame's."""
    return float(np.degrees(np.arccos(np.clip(pose.matrix()[2, 2], -1, 1))))


def inverse(pose: Pose) -> Pose:
    """The frame in the body."""
    return Pose.from_matrix(np.linalg.inv(pose.matrix()).astype(np.float64))


def apart(pose0: Pose, pose1: Pose) -> tuple[float, float]:
    """Metres between two poses, and degrees of the rotation from one to the other."""
    relative = np.linalg.inv(pose0.matrix()) @ pose1.matrix()
    turned = np.clip((np.trace(relative[:3, :3]) - 1) / 2, -1, 1)
    return float(np.linalg.norm(relative[:3, 3])), float(np.degrees(np.arccos(turned)))


def cross_matrix(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """The matrix (3, 3) that takes a vector to v x it."""
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])


def _yaw_by_pose(pose: Pose) -> NDArray[np.float64]:
    """How the yaw moves with (x, y, z, rotations): (6,). Only a level body's is the last alone."""
    x, y, z = pose.matrix()[:3, 0]
    level = x * x + y * y
    return np.array([0, 0, 0, -z * x / level, -z * y / level, 1])


def _symmetric(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return (matrix + matrix.T) / 2  # rounding would fail a strict reader's check

"""Covariances of poses that are carried to another body, frame, or onto the ground."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cerfevpr_core.errors import CerfeVPRError
from cerfevpr_core.geometry import Pose
from cerfevpr_core.uncertain_pose import UncertainPose, apart, inverse, tilt_deg, yaw_of

NUM_SAMPLES = 200_000


def pose(position, degrees, axes='xyz') -> Pose:
    quaternion = Rotation.from_euler(axes, degrees, degrees=True).as_quat()
    return Pose(tuple(map(float, position)), tuple(map(float, quaternion)))


def random_covariance(seed: int) -> np.ndarray:
    """Correlated; centimetres, and tenths of a degree, so that it is nearly linear."""
    root = np.random.default_rng(seed).normal(size=(6, 6)) * 0.002
    return root @ root.T + np.diag([1e-6] * 6)


CAMERA = UncertainPose(pose((3, -2, 1.2), (-95, 10, 40)), random_covariance(0))


def samples_of(uncertain: UncertainPose) -> np.ndarray:
    """(S, 4, 4) drawn as the covariance says: p + dp, Exp(dw) R."""
    rng = np.random.default_rng(1)
    errors = rng.multivariate_normal(np.zeros(6), uncertain.covariance, NUM_SAMPLES)
    out = np.tile(uncertain.pose.matrix(), (NUM_SAMPLES, 1, 1))
    out[:, :3, 3] += errors[:, :3]
    out[:, :3, :3] = Rotation.from_rotvec(errors[:, 3:]).as_matrix() @ out[:, :3, :3]
    return out


def spread(samples: np.ndarray, about: Pose) -> np.ndarray:
    """The covariance (6, 6) that samples have about a pose, in the same sense."""
    centre = about.matrix()
    moved = samples[:, :3, 3] - centre[:3, 3]
    turned = Rotation.from_matrix(samples[:, :3, :3] @ centre[:3, :3].T).as_rotvec()
    errors = np.hstack([moved, turned])
    return errors.T @ errors / len(errors)


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.abs(found - expected).max() < 0.02 * scale.max()
    assert (np.abs(found - expected) < 0.02 * scale + 1e-12).all()


def test_another_body_on_a_lever_is_as_uncertain_as_samples_say():
    base_in_camera = pose((0.3, 1.1, -0.4), (90, 0, 90))
    base = CAMERA.of(base_in_camera)
    moved = samples_of(CAMERA) @ base_in_camera.matrix()
    assert_close(spread(moved, base.pose), base.covariance)


def test_another_frame_sees_the_covariance_that_samples_say():
    frame = pose((10, 5, 0), (20, -30, 110))
    seen = CAMERA.seen_from(frame)
    moved = frame.matrix() @ samples_of(CAMERA)
    assert_close(spread(moved, seen.pose), seen.covariance)


def test_a_body_on_the_ground_is_as_uncertain_as_samples_of_x_y_and_yaw():
    tilted = UncertainPose(pose((3, -2, 1.2), (8, -15, 40)), random_covariance(2))
    flat = tilted.on_the_ground()
    drawn = samples_of(tilted)
    yaw = np.arctan2(drawn[:, 1, 0], drawn[:, 0, 0]) - yaw_of(tilted.pose)
    errors = np.column_stack([drawn[:, 0, 3] - 3, drawn[:, 1, 3] + 2, yaw])
    assert_close(errors.T @ errors / len(errors), flat.in_plane())
    assert flat.pose.position_m == (3, -2, 0)
    assert tilt_deg(flat.pose) < 1e-4
    assert yaw_of(flat.pose) == pytest.approx(yaw_of(tilted.pose))
    assert not flat.covariance[2:5].any()


def test_the_own_axes_are_those_of_the_body():
    # A quarter turn to the left: the body's x is the frame's y.
    turned = UncertainPose(pose((0, 0, 0), (0, 0, 90)), np.diag([1.0, 4, 9, 16, 25, 36]))
    assert np.diag(turned.in_own_axes()) == pytest.approx([4, 1, 9, 25, 16, 36])


def test_there_and_back_is_the_same_pose_and_covariance():
    there = pose((0.3, 1.1, -0.4), (90, 0, 90))
    back = CAMERA.of(there).of(inverse(there))
    assert apart(back.pose, CAMERA.pose) == pytest.approx((0, 0), abs=1e-4)
    assert back.covariance == pytest.approx(CAMERA.covariance, abs=1e-12)


@pytest.mark.parametrize(
    'covariance',
    [
        np.zeros((6, 6)),
        np.full((6, 6), np.nan),
        np.diag([1.0, 1, 1, 1, 1, -1]),
        np.eye(6) + np.eye(6, k=1),
        np.eye(3),
    ],
)
def test_what_is_no_covariance_is_refused(covariance):
    with pytest.raises(CerfeVPRError, match='symmetric and positive'):
        UncertainPose(CAMERA.pose, covariance).checked()

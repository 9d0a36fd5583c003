"""A loop closure as RTAB-Map's add_link takes it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cerfevpr_core.errors import CerfeVPRError
from cerfevpr_core.geometry import Pose
from cerfevpr_core.hooks.rtabmap_link import information_of, link_of_closure
from cerfevpr_core.uncertain_pose import UncertainPose, apart, inverse

CAMERA_IN_BASE = Pose((0.3, 0.1, 1.0), (-0.5, 0.5, -0.5, 0.5))


def pose(position, degrees) -> Pose:
    quaternion = Rotation.from_euler('xyz', degrees, degrees=True).as_quat()
    return Pose(tuple(map(float, position)), tuple(map(float, quaternion)))


def covariance(seed: int) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(6, 6)) * 0.005
    return root @ root.T + np.eye(6) * 1e-6


def test_the_link_leads_from_the_older_base_to_the_newer():
    older, newer = pose((4, 2, 0), (0, 0, 80)), pose((4.5, 2.2, 0), (0, 0, 95))
    cameras = older @ CAMERA_IN_BASE, newer @ CAMERA_IN_BASE
    closure = UncertainPose(inverse(cameras[0]) @ cameras[1], covariance(0))
    link = link_of_closure('57', '8', closure, CAMERA_IN_BASE)
    assert (link.from_id, link.to_id, link.type) == (8, 57, 1)
    assert apart(older @ link.transform, newer) == pytest.approx((0, 0), abs=1e-4)


def test_the_information_is_what_an_optimiser_sees_of_samples():
    # g2o and GTSAM compare inverse(measured) * actual: errors along the axes of the link's end.
    relative = pose((1, -0.5, 0.2), (10, -20, 60))
    closure = UncertainPose(relative, covariance(1))
    rng = np.random.default_rng(2)
    drawn = rng.multivariate_normal(np.zeros(6), closure.covariance, 200_000)
    rotations = Rotation.from_rotvec(drawn[:, 3:]) * Rotation.from_quat(relative.quaternion)
    actual = np.tile(np.eye(4), (len(drawn), 1, 1))
    actual[:, :3, :3] = rotations.as_matrix()
    actual[:, :3, 3] = drawn[:, :3] + relative.position_m
    bases = CAMERA_IN_BASE.matrix() @ actual @ np.linalg.inv(CAMERA_IN_BASE.matrix())
    link = link_of_closure('2', '1', closure, CAMERA_IN_BASE)
    errors = np.linalg.inv(link.transform.matrix()) @ bases
    turned = Rotation.from_matrix(errors[:, :3, :3]).as_rotvec()
    seen = np.hstack([errors[:, :3, 3], turned])
    white = seen @ np.linalg.cholesky(link.information)  # what the optimiser squares and sums
    assert white.T @ white / len(white) == pytest.approx(np.eye(6), abs=0.02)


def test_information_is_symmetric_and_large_where_the_pose_is_certain():
    certain = np.diag([1e-4, 1e-2, 1e-2, 1e-4, 1e-4, 1e-4])
    found = information_of(UncertainPose(pose((0, 0, 0), (0, 0, 0)), certain))
    assert np.diag(found) == pytest.approx([1e4, 1e2, 1e2, 1e4, 1e4, 1e4])
    assert (found == found.T).all()


@pytest.mark.parametrize('external_id', ['', '0', 'kf7', '-1', str(2**31)])
def test_ids_that_are_no_nodes_of_rtabmap_are_told(external_id):
    closure = UncertainPose(pose((0, 0, 0), (0, 0, 0)), covariance(0))
    with pytest.raises(CerfeVPRError, match='not a node of RTAB-Map'):
        link_of_closure(external_id, '1', closure, CAMERA_IN_BASE)


def test_a_closure_without_a_covariance_is_no_link():
    closure = UncertainPose(pose((0, 0, 0), (0, 0, 0)), np.zeros((6, 6)))
    with pytest.raises(CerfeVPRError, match='covariance'):
        link_of_closure('2', '1', closure, CAMERA_IN_BASE)

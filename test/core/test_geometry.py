"""Poses and cameras."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cerfevpr_core.geometry import Camera, Pose

numbers = st.floats(-1, 1, allow_nan=False)
quaternions = (
    st.tuples(numbers, numbers, numbers, numbers)
    .filter(lambda q: np.linalg.norm(q) > 0.1)
    .map(lambda q: tuple(float(v) for v in np.array(q) / np.linalg.norm(q)))
)


@given(quaternions, st.tuples(*[st.floats(-1e6, 1e6)] * 3))
@example((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0))  # 180 degrees about x, y, z and a diagonal
@example((0.0, 1.0, 0.0, 0.0), (1.0, 2.0, 3.0))
@example((0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0))
@example((0.6, 0.8, 0.0, 0.0), (0.0, 0.0, 0.0))
@example((0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0))
def test_a_pose_survives_the_way_through_its_matrix(quaternion, position_m):
    matrix = Pose(position_m, quaternion).matrix()
    back = Pose.from_matrix(matrix)
    assert back.position_m == position_m
    assert np.linalg.norm(back.quaternion) == pytest.approx(1)
    assert back.quaternion[3] >= 0
    # q and -q are the same rotation.
    assert abs(np.dot(back.quaternion, quaternion)) == pytest.approx(1)
    np.testing.assert_allclose(back.matrix(), matrix, atol=1e-9)


@given(quaternions)
def test_the_matrix_of_a_pose_is_a_rotation(quaternion):
    rotation = Pose((0, 0, 0), quaternion).matrix()[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_a_quarter_turn_about_z_takes_x_to_y():
    half = np.sqrt(0.5)
    matrix = Pose((10.0, 0.0, 0.0), (0.0, 0.0, half, half)).matrix()
    np.testing.assert_allclose(matrix @ [1, 0, 0, 1], [10, 1, 0, 1], atol=1e-12)


def test_the_matrix_of_a_camera_projects_its_axis_to_the_centre():
    camera = Camera(640, 480, 500, 510, 320, 240)
    np.testing.assert_array_equal(camera.matrix() @ [0, 0, 1], [320, 240, 1])
    np.testing.assert_array_equal(camera.matrix() @ [1, 1, 1], [820, 750, 1])

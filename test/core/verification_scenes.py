"""What the tests of the verification share: made-up scenes whose every number is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.verification import Keypoints, MapView
from cerfevpr_core.verification.refine import project, rotation

CAMERA = Camera(640, 480, 500.0, 500.0, 319.5, 239.5)
SIZE = (480, 640)  # height, width


def pose_at(position_m: tuple[float, float, float], turn: tuple[float, float, float]) -> Pose:
    """A camera in the map, turned from the map's axes by axis times angle in radians."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(np.array(turn))
    matrix[:3, 3] = position_m
    return Pose.from_matrix(matrix)


def scattered(rng: np.random.Generator, number: int, depths_m: tuple[float, float]) -> NDArray:
    """Points (N, 3) all over the view of a camera at the map's origin."""
    depth = rng.uniform(*depths_m, number)
    across = rng.uniform([-0.55, -0.42], [0.55, 0.42], (number, 2))
    return np.concatenate([across * depth[:, None], depth[:, None]], axis=1)


def descriptors(rng: np.random.Generator, number: int) -> NDArray[np.float32]:
    """Rows (N, 64) of unit length, all different."""
    rows = rng.normal(size=(number, 64)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def seen(
    points_m: NDArray,
    pose: Pose,
    rows: NDArray[np.float32],
    rng: np.random.Generator,
    noise_px: float = 0.0,
    depth_share: float | None = 0.0,
    camera: Camera = CAMERA,
) -> Keypoints:
    """The points of the map as keypoints of a camera at a pose.

    Pixels err by `noise_px`, depths by the share `depth_share`; None: there is no depth.
    """
    matrix = pose.matrix()
    pixels, depth = project(camera, matrix, points_m)
    pixels = pixels + rng.normal(0, 1, pixels.shape) * noise_px
    measured = depth * (1 + rng.normal(0, 1, len(depth)) * (depth_share or 0.0))
    rays = (pixels - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    local = np.concatenate([rays, np.ones((len(rays), 1))], axis=1) * measured[:, None]
    known = local if depth_share is not None else np.full_like(local, np.nan)
    return Keypoints(pixels.astype(np.float32), rows, known.astype(np.float32), 'xfeat')


def view_of(
    keyframe_id: int, keypoints: Keypoints, pose: Pose | None, camera: Camera | None = CAMERA
) -> MapView:
    """A keyframe of the map."""
    return MapView(keyframe_id, keypoints, pose, camera)


def errors(estimate: NDArray, truth: Pose) -> tuple[float, float]:
    """Metres and degrees between an estimated pose (4, 4) and the true one."""
    between = np.linalg.inv(truth.matrix()) @ estimate
    cosine = np.clip((np.trace(between[:3, :3]) - 1) / 2, -1, 1)
    return float(np.linalg.norm(between[:3, 3])), float(np.degrees(np.arccos(cosine)))


# Of a keyframe and of a query that see the same scene.
HOME = pose_at((0, 0, 0), (0, 0, 0))
AWAY = pose_at((0.4, -0.2, 0.3), (0.02, -0.06, 0.03))

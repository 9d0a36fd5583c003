"""The pose by PnP and its covariance, against scenes whose every number is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from verification_scenes import (
    AWAY,
    CAMERA,
    HOME,
    SIZE,
    descriptors,
    errors,
    pose_at,
    scattered,
    seen,
    view_of,
)

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.data.drawn_route import DEFAULT_CAMERA, DrawnRoute
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.verification import CandidateView, Keypoints, MapView, Verified, Verifier
from cerfevpr_core.verification.covariance import pose_covariance, reaching
from cerfevpr_core.verification.refine import (
    Observations,
    motion_between,
    moved,
    project,
    refine,
    rotation,
    rotation_vector,
)

# Errors of made-up keypoints are independent, and what is said of them is true.
KNOWN = VerificationConfig(shared_error=0.0, pixel_noise_px=1.0, depth_noise_m=0.0)


def misfit(estimate: NDArray, covariance: NDArray, truth: NDArray) -> float:
    """The normalised estimation error squared: chi-squared with 6 degrees if all is honest."""
    turned = rotation_vector(truth[:3, :3] @ estimate[:3, :3].T)
    error = np.concatenate([truth[:3, 3] - estimate[:3, 3], turned])
    return float(error @ np.linalg.solve(covariance, error))


def interval(number: int) -> float:
    """Half the 95 % interval of the mean of so many, about 6."""
    return 1.96 * float(np.sqrt(12 / number))


def localized(
    query: Keypoints, views: list[MapView], config: VerificationConfig = KNOWN
) -> Verified:
    candidate = CandidateView(views[0], tuple(views[1:]))
    return Verifier(config).verify(query, SIZE, CAMERA, [candidate])


def test_a_motion_is_metres_along_and_radians_about_the_axes_of_the_map() -> None:
    start = pose_at((1, 2, 3), (0.1, 0.2, 0.3)).matrix()
    step = np.array([0.1, 0.2, 0.3, 0.01, 0.02, -0.03])
    after = moved(start, step)
    assert after[:3, 3] == pytest.approx([1.1, 2.2, 3.3])
    assert rotation_vector(after[:3, :3] @ start[:3, :3].T) == pytest.approx(step[3:])
    quarter = rotation(np.array([0, 0, np.pi / 2]))
    assert quarter @ [1, 0, 0] == pytest.approx([0, 1, 0])


def test_without_noise_the_pose_is_exact_and_in_the_map() -> None:
    rng = np.random.default_rng(0)
    points, rows = scattered(rng, 200, (2, 12)), descriptors(rng, 200)
    world = pose_at((5, -3, 1), (0.3, -1.2, 0.5))  # the keyframe is not at the map's origin
    truth = Pose.from_matrix(world.matrix() @ AWAY.matrix())
    mapped = points @ world.matrix()[:3, :3].T + world.matrix()[:3, 3]
    view = view_of(7, seen(mapped, world, rows, rng), world)
    found = localized(seen(mapped, truth, rows, rng), [view])
    assert found.pose is not None and found.pose_reason is None
    metres, degrees = errors(found.pose.pose.matrix(), truth)
    assert metres < 1e-3 and degrees < 1e-2
    assert found.pose.keyframe_ids == (7,)
    one = found.verifications[0]
    assert one.verified and one.scale_known and one.relative_pose is not None
    assert errors(one.relative_pose.matrix(), AWAY)[0] < 1e-3


def test_the_pose_is_one_of_a_wrong_match_or_two() -> None:
    rng = np.random.default_rng(1)
    points, rows = scattered(rng, 300, (2, 12)), descriptors(rng, 300)
    query = seen(points, AWAY, rows, rng, noise_px=0.5)
    wrong = rng.permutation(180)  # six in ten match something else
    mixed = rows.copy()
    mixed[:180] = rows[wrong]
    found = localized(query, [view_of(1, seen(points, HOME, mixed, rng), HOME)])
    assert found.pose is not None
    assert errors(found.pose.pose.matrix(), AWAY)[0] < 0.05
    assert found.pose.num_inliers < 150


def test_neighbours_are_pooled_and_each_keypoint_counts_once() -> None:
    rng = np.random.default_rng(2)
    points, rows = scattered(rng, 60, (2, 12)), descriptors(rng, 60)
    poses = [HOME, pose_at((0.2, 0, 0), (0, 0.03, 0)), pose_at((-0.2, 0, 0), (0, -0.03, 0))]
    near = seen(points, HOME, rows, rng)
    thirds = [
        replace(seen(points, pose, rows, rng), descriptors=descriptors(rng, 60)) for pose in poses
    ]
    for n, part in enumerate(thirds):  # each keyframe knows another third of the scene
        part.descriptors[n::3] = rows[n::3]
    views = [
        view_of(n, part, pose) for n, (part, pose) in enumerate(zip(thirds, poses, strict=True))
    ]
    query = seen(points, AWAY, rows, rng)
    alone, together = localized(query, views[:1]), localized(query, views)
    assert alone.pose is not None and together.pose is not None
    assert alone.pose.num_inliers == 20 and together.pose.num_inliers == 60
    assert sorted(together.pose.keyframe_ids) == [0, 1, 2]
    twice = localized(query, [view_of(0, near, HOME), view_of(1, near, HOME)])
    assert twice.pose is not None and twice.pose.num_inliers == 60


def fitted(
    rng: np.random.Generator, noise_px: float, depth_share: float, number: int = 120
) -> tuple[NDArray, NDArray]:
    """A pose from noisy observations whose noise is known, and its covariance."""
    points = scattered(rng, number, (2, 15))
    pixels, _ = project(CAMERA, AWAY.matrix(), points)
    along = np.square(depth_share * points[:, 2])
    rays = points / points[:, 2:]
    spreads = along[:, None, None] * rays[:, :, None] * rays[:, None, :]
    measured = points + rays * (rng.normal(0, 1, number) * depth_share * points[:, 2])[:, None]
    noisy = pixels + rng.normal(0, noise_px, pixels.shape)
    observations = Observations(noisy, measured, spreads, noise_px)
    fit = refine(CAMERA, HOME.matrix(), observations)
    assert fit is not None
    covariance = pose_covariance(fit, observations.seen_px, max(SIZE), 0.0)
    assert covariance is not None
    return fit.pose, covariance


def test_the_covariance_is_that_of_many_trials() -> None:
    rng = np.random.default_rng(3)
    truth = AWAY.matrix()
    errors_, claimed = [], []
    for _ in range(400):
        pose, covariance = fitted(np.random.default_rng(rng.integers(1 << 30)), 1.0, 0.01)
        turned = rotation_vector(truth[:3, :3] @ pose[:3, :3].T)
        errors_.append(np.concatenate([truth[:3, 3] - pose[:3, 3], turned]))
        claimed.append(covariance)
    measured, stated = np.cov(np.array(errors_).T), np.mean(claimed, axis=0)
    ratio = np.sqrt(np.diag(measured) / np.diag(stated))
    assert ratio == pytest.approx(1, abs=0.15)
    scale = np.sqrt(np.outer(np.diag(stated), np.diag(stated)))
    assert np.abs((measured - stated) / scale).max() < 0.25  # the correlations too


@pytest.mark.parametrize(('noise_px', 'depth_share'), [(0.3, 0.0), (1.0, 0.02), (3.0, 0.01)])
def test_the_errors_are_as_large_as_the_covariance_says(
    noise_px: float, depth_share: float
) -> None:
    truth = AWAY.matrix()
    trials = [fitted(np.random.default_rng(n), noise_px, depth_share) for n in range(300)]
    assert np.mean([misfit(p, c, truth) for p, c in trials]) == pytest.approx(6, abs=interval(300))


def test_noise_that_was_stated_wrong_is_learned_from_the_residuals() -> None:
    rng = np.random.default_rng(4)
    points, rows = scattered(rng, 200, (2, 12)), descriptors(rng, 200)
    found = []
    for stated in (0.5, 2.0):
        config = replace(KNOWN, pixel_noise_px=stated, depth_noise_ratio=0.0)
        noise = np.random.default_rng(5)
        view = view_of(1, seen(points, HOME, rows, noise), HOME)
        pose = localized(seen(points, AWAY, rows, noise, noise_px=1.0), [view], config).pose
        assert pose is not None
        found.append(np.sqrt(np.diag(pose.covariance)))
    assert found[0] == pytest.approx(found[1], rel=0.02)


def test_errors_that_near_matches_share_make_a_pose_less_certain() -> None:
    rng = np.random.default_rng(6)
    points, rows = scattered(rng, 200, (2, 12)), descriptors(rng, 200)
    view = view_of(1, seen(points, HOME, rows, rng), HOME)
    query = seen(points, AWAY, rows, rng, noise_px=1.0)
    alone = localized(query, [view]).pose
    shared = localized(query, [view], replace(KNOWN, shared_error=0.2)).pose
    assert alone is not None and shared is not None
    assert (np.linalg.eigvalsh(shared.covariance - alone.covariance) > 0).all()


def test_a_parked_car_that_moved_does_not_pull_the_pose() -> None:
    rng = np.random.default_rng(7)
    houses, car = scattered(rng, 200, (12, 40)), scattered(rng, 60, (3, 4))
    car[:, :2] = rng.uniform([0.9, 0.5], [1.7, 1.2], (60, 2))
    rows = descriptors(rng, 260)
    before = np.concatenate([houses, car])
    after = np.concatenate([houses, car + np.array([0.05, 0.0, 0.1])])
    view = view_of(1, seen(before, HOME, rows, rng, 0.5), HOME)
    found = localized(seen(after, AWAY, rows, rng, 0.5), [view]).pose
    assert found is not None and found.num_inliers <= 215
    assert misfit(found.pose.matrix(), found.covariance, AWAY.matrix()) < 25


def test_a_car_that_moved_too_little_to_be_noticed_makes_the_pose_less_certain() -> None:
    misfits = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        houses, car = scattered(rng, 60, (25, 40)), scattered(rng, 30, (3, 4))
        car[:, :2] = rng.uniform([0.9, 0.5], [1.7, 1.2], (30, 2))
        rows = descriptors(rng, 90)
        before = np.concatenate([houses, car])
        after = np.concatenate([houses, car + np.array([0.06, 0.0, 0.0])])
        view = view_of(1, seen(before, HOME, rows, rng, 1.0), HOME)
        query = seen(after, AWAY, rows, rng, 1.0)
        for config in (KNOWN, replace(KNOWN, shared_error=0.001)):
            found = localized(query, [view], config).pose
            assert found is not None
            misfits.append(misfit(found.pose.matrix(), found.covariance, AWAY.matrix()))
    unaware, aware = np.reshape(misfits, (6, 2)).T
    assert np.median(aware) < np.median(unaware) / 10


def test_a_covariance_grows_until_no_motion_is_beyond_chance() -> None:
    covariance = np.diag([1.0, 4.0, 1.0, 1.0, 1.0, 1.0])
    near, far = np.eye(6)[0], 10 * np.eye(6)[1]
    assert (reaching(covariance, near[None]) == covariance).all()
    assert (reaching(covariance, np.zeros((0, 6))) == covariance).all()
    grown = reaching(covariance, np.array([near, far, 0.9 * far]))
    assert far @ np.linalg.solve(grown, far) == pytest.approx(3.7)
    grown[1, 1] = 4.0
    assert grown == pytest.approx(covariance)  # along the far motion only


def test_a_motion_between_poses_leads_from_one_to_the_other() -> None:
    motion = motion_between(HOME.matrix(), AWAY.matrix())
    assert moved(HOME.matrix(), motion) == pytest.approx(AWAY.matrix())


@pytest.mark.slow
def test_on_the_drawn_route_with_known_noise_the_covariance_is_honest() -> None:
    """Points of drawn depth images, projected exactly, with known noise on pixels and depths."""
    route = DrawnRoute(seed=5, num_frames=40)
    rng = np.random.default_rng(8)
    found = []
    for number in range(2, 38, 3):
        frame = route.frame(number)
        truth = route.pose(number, lateral_m=0.7, yaw_deg=-3)
        for _ in range(25):
            found.append(misfit_on(frame.depth_m, frame.pose, truth, DEFAULT_CAMERA, rng))
    assert len(found) == 300
    assert np.mean(found) == pytest.approx(6, abs=interval(300))


def misfit_on(
    depth_m: NDArray, pose: Pose, truth: Pose, camera: Camera, rng: np.random.Generator
) -> float:
    pixel_std, depth_share = 0.5, 0.01
    rows = rng.integers(5, camera.height_px - 5, 400)
    columns = rng.integers(5, camera.width_px - 5, 400)
    depth = depth_m[rows, columns].astype(np.float64)
    near = np.isfinite(depth)
    rays = np.stack([columns - camera.cx, rows - camera.cy], axis=1) / [camera.fx, camera.fy]
    local = np.concatenate([rays, np.ones((400, 1))], axis=1) * depth[:, None]
    points = local[near] @ pose.matrix()[:3, :3].T + pose.matrix()[:3, 3]
    pixels, ahead = project(camera, truth.matrix(), points)
    visible = (ahead > 0.5) & (pixels > 0).all(axis=1)
    visible &= (pixels < [camera.width_px, camera.height_px]).all(axis=1)
    points, kept = points[visible], len(points[visible])
    unique = descriptors(rng, kept)
    view = view_of(1, seen(points, pose, unique, rng, 0.0, depth_share, camera), pose, camera)
    query = seen(points, truth, unique, rng, pixel_std, None, camera)
    # One pixel of the settings is half one of this camera's; the map's pixels are exact.
    config = replace(KNOWN, pixel_noise_px=1.0, depth_noise_ratio=depth_share)
    size = (camera.height_px, camera.width_px)
    exact = replace(view, camera=None)
    found = Verifier(config).verify(query, size, camera, [CandidateView(exact)])
    assert found.pose is not None, found.pose_reason
    return misfit(found.pose.pose.matrix(), found.pose.covariance, truth.matrix())

"""Bad input: no crash, no pose, and a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from verification_scenes import (
    AWAY,
    CAMERA,
    HOME,
    SIZE,
    descriptors,
    pose_at,
    scattered,
    seen,
    view_of,
)

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.geometry import Camera
from cerfevpr_core.verification import (
    CandidateView,
    Keypoints,
    MapView,
    Verified,
    Verifier,
    no_keypoints,
)
from cerfevpr_core.verification.keypoints import unknown_points
from cerfevpr_core.verification.two_view import two_view

CONFIG = VerificationConfig()


def verify(
    query: Keypoints,
    *views: MapView,
    camera: Camera | None = CAMERA,
    config: VerificationConfig = CONFIG,
) -> Verified:
    candidates = [CandidateView(view) for view in views]
    return Verifier(config).verify(query, SIZE, camera, candidates)


def scene(depths_m: tuple[float, float] = (2, 12), number: int = 200) -> tuple[Keypoints, MapView]:
    """A query and a keyframe of one place, between which a pose is found."""
    rng = np.random.default_rng(0)
    points, rows = scattered(rng, number, depths_m), descriptors(rng, number)
    keyframe = view_of(3, seen(points, HOME, rows, rng, 0.3), HOME)
    return seen(points, AWAY, rows, rng, 0.3, None), keyframe


def refused(found: Verified, pose_reason: str, reject_reason: str | None = None) -> None:
    assert found.pose is None
    assert found.pose_reason is not None and pose_reason in found.pose_reason
    for one in found.verifications:
        assert one.verified == (one.reject_reason is None)
        if reject_reason is not None:
            assert not one.verified and reject_reason in str(one.reject_reason)


def test_the_scene_gives_a_pose_if_nothing_is_wrong_with_it() -> None:
    query, view = scene()
    found = verify(query, view)
    assert found.pose is not None and found.verifications[0].verified


def test_no_candidates() -> None:
    query, _ = scene()
    refused(verify(query), 'no candidates')


@pytest.mark.parametrize('kind', ['orb', 'xfeat'])
def test_an_image_without_texture(kind: str) -> None:
    query, view = scene()
    none = no_keypoints('xfeat' if kind == 'xfeat' else 'orb')
    refused(verify(none, view), 'no keypoints', 'no keypoints')
    empty = replace(view, keypoints=none)
    refused(verify(query, empty), 'no 3-D points', 'the keyframe has no keypoints')


def test_one_keypoint() -> None:
    query, view = scene()
    one = Keypoints(query.positions_px[:1], query.descriptors[:1], query.points_m[:1], query.kind)
    refused(verify(one, view), 'fewer than', 'fewer than')


def test_all_equal_descriptors() -> None:
    query, view = scene()
    same = np.tile(query.descriptors[:1], (len(query), 1))
    equal = replace(view, keypoints=replace(view.keypoints, descriptors=same))
    refused(verify(replace(query, descriptors=same), equal), 'match', 'fewer than')


def test_keypoints_of_another_detector() -> None:
    query, view = scene()
    bits = np.zeros((50, 32), np.uint8)
    other = Keypoints(query.positions_px[:50], bits, unknown_points(50), 'orb')
    refused(verify(other, view), 'no keypoint matches', 'xfeat')


def test_another_place() -> None:
    query, view = scene()
    rng = np.random.default_rng(1)
    refused(verify(replace(query, descriptors=descriptors(rng, len(query))), view), '')


def test_wrong_matches_only() -> None:
    query, view = scene()
    mixed = view.keypoints.descriptors[np.random.default_rng(2).permutation(len(query))]
    wrong = replace(view, keypoints=replace(view.keypoints, descriptors=mixed))
    refused(verify(query, wrong), '', '')


def test_no_points_in_the_map_means_no_scale_and_says_so() -> None:
    query, view = scene()
    bare = replace(view.keypoints, points_m=unknown_points(len(query)))
    found = verify(query, replace(view, keypoints=bare))
    refused(found, 'scale unknown')
    one = found.verifications[0]
    assert one.verified and not one.scale_known and one.relative_pose is not None
    assert np.linalg.norm(one.relative_pose.position_m) == pytest.approx(1)
    truth = np.array(AWAY.position_m) / np.linalg.norm(AWAY.position_m)
    assert one.relative_pose.position_m @ truth > 0.99


def test_no_pose_of_the_keyframe() -> None:
    query, view = scene()
    refused(verify(query, replace(view, pose=None)), 'no poses')


def test_no_camera_still_verifies_the_place() -> None:
    query, view = scene()
    found = verify(query, view, camera=None)
    refused(found, 'intrinsics of the camera are unknown')
    assert found.verifications[0].verified and found.verifications[0].relative_pose is None


def test_points_behind_the_camera() -> None:
    query, view = scene()
    behind = replace(view.keypoints, points_m=-view.keypoints.points_m)
    refused(verify(query, replace(view, keypoints=behind)), 'behind')


@pytest.mark.parametrize('value', [np.inf, 0.0])
def test_points_that_are_none(value: float) -> None:
    query, view = scene()
    points = np.full((len(query), 3), value, np.float32)
    refused(verify(query, replace(view, keypoints=replace(view.keypoints, points_m=points))), '')


def test_points_that_all_lie_in_one_spot_or_on_a_line() -> None:
    query, _ = scene()
    line = np.linspace([-1, 0, 5], [1, 0, 5], len(query))
    for points in (np.tile([[0.0, 0.0, 5.0]], (len(query), 1)), line):
        rng = np.random.default_rng(3)
        rows = query.descriptors
        flat = view_of(1, seen(points, HOME, rows, rng, 0.3), HOME)
        refused(verify(seen(points, AWAY, rows, rng, 0.3, None), flat), '')


@pytest.mark.parametrize(
    ('factor', 'reason'), [(0.4, ''), (0.75, ''), (1.3, 'intrinsics'), (2.5, 'intrinsics')]
)
def test_wrong_focal_length(factor: float, reason: str) -> None:
    query, view = scene()
    wrong = replace(CAMERA, fx=CAMERA.fx * factor, fy=CAMERA.fy * factor)
    refused(verify(query, view, camera=wrong), reason)


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'width_px': 1280, 'height_px': 960}, 'the intrinsics are for 1280 x 960'),
        ({'fx': 0.0}, 'not those of a camera'),
        ({'fy': float('nan')}, 'not those of a camera'),
    ],
)
def test_intrinsics_that_cannot_be_those_of_the_image(
    change: dict[str, float], reason: str
) -> None:
    query, view = scene()
    refused(verify(query, view, camera=replace(CAMERA, **change)), reason)


def test_a_plane_alone_gives_no_relative_pose_but_the_place() -> None:
    rng = np.random.default_rng(4)
    points, rows = scattered(rng, 200, (5, 5)), descriptors(rng, 200)
    bare = view_of(1, seen(points, HOME, rows, rng, 0.3, None), HOME)
    found = verify(seen(points, AWAY, rows, rng, 0.3, None), bare)
    refused(found, 'scale unknown')
    one = found.verifications[0]
    assert one.verified and one.relative_pose is None and 'plane' in str(one.relative_reason)


def test_a_camera_that_only_turned_gives_no_relative_pose_but_the_place() -> None:
    rng = np.random.default_rng(5)
    points, rows = scattered(rng, 200, (2, 12)), descriptors(rng, 200)
    bare = view_of(1, seen(points, HOME, rows, rng, 0.3, None), HOME)
    turned = seen(points, pose_at((0, 0, 0), (0.02, 0.1, 0)), rows, rng, 0.3, None)
    one = verify(turned, bare).verifications[0]
    assert one.verified and one.relative_pose is None and 'rotation' in str(one.relative_reason)


def test_a_plane_with_depth_gives_a_pose_and_so_does_a_turn() -> None:
    rng = np.random.default_rng(6)
    for depths_m, truth in (((5, 5), AWAY), ((2, 12), pose_at((0, 0, 0), (0.02, 0.1, 0)))):
        points, rows = scattered(rng, 200, depths_m), descriptors(rng, 200)
        view = view_of(1, seen(points, HOME, rows, rng, 0.3), HOME)
        found = verify(seen(points, truth, rows, rng, 0.3, None), view)
        assert found.pose is not None
        apart = np.subtract(found.pose.pose.position_m, truth.position_m)
        assert np.linalg.norm(apart) < 0.05


def test_points_too_far_to_tell_a_position_give_none() -> None:
    query, view = scene(depths_m=(2000, 9000))
    refused(verify(query, view), 'uncertain')


def test_few_inliers_a_low_ratio_and_a_corner_of_the_image_are_refused_by_name() -> None:
    query, view = scene()
    many = replace(CONFIG, min_inliers=500)
    refused(verify(query, view, config=many), 'fewer than', 'fewer than')
    spread = replace(CONFIG, min_coverage=1.0)
    refused(verify(query, view, config=spread), 'cover')
    wrong = view.keypoints.descriptors.copy()
    wrong[50:] = wrong[50:][np.random.default_rng(7).permutation(150)]
    mixed = replace(view, keypoints=replace(view.keypoints, descriptors=wrong))
    refused(verify(query, mixed, config=replace(CONFIG, min_inlier_ratio=0.9)), 'inlier ratio')


def test_two_places_that_fit_alike_give_no_pose() -> None:
    query, view = scene()
    elsewhere = replace(view, keyframe_id=9, pose=pose_at((50, 0, 0), (0, 0, 0)))
    refused(verify(query, view, elsewhere), 'two places')


def test_the_fundamental_matrix_serves_without_cameras() -> None:
    query, view = scene()
    pixels = (query.positions_px.astype(float), view.keypoints.positions_px.astype(float))
    found = two_view(*pixels, SIZE, None, CONFIG)
    assert found.support.num_inliers > 180 and found.relative is None


def test_the_same_input_gives_the_same_answer() -> None:
    query, view = scene()
    one, two = (verify(query, view) for _ in range(2))
    assert one.pose is not None and two.pose is not None
    assert one.pose.pose == two.pose.pose
    assert (one.pose.covariance == two.pose.covariance).all()
    assert one.verifications == two.verifications


def test_a_distorted_camera_gives_the_pose_of_an_ideal_one() -> None:
    query, view = scene()
    ideal = verify(query, view).pose
    bent = replace(CAMERA, distortion=(-0.2, 0.05, 0.001, -0.001, 0.0))
    x, y = ((query.positions_px - [CAMERA.cx, CAMERA.cy]) / [CAMERA.fx, CAMERA.fy]).T
    k1, k2, p1, p2, _ = bent.distortion
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2
    seen_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    seen_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    pixels = np.stack([seen_x, seen_y], axis=1) * [CAMERA.fx, CAMERA.fy]
    pixels = (pixels + np.array([CAMERA.cx, CAMERA.cy])).astype(np.float32)
    found = verify(replace(query, positions_px=pixels), view, camera=bent).pose
    assert ideal is not None and found is not None
    assert found.pose.position_m == pytest.approx(ideal.pose.position_m, abs=1e-3)


def test_the_same_car_in_another_place_gives_no_pose() -> None:
    """Forty matches fit a pose; two hundred other points in view look like nothing there."""
    rng = np.random.default_rng(8)
    car, there, here = (scattered(rng, n, (4, 9)) for n in (40, 200, 200))
    shared, own, others = descriptors(rng, 40), descriptors(rng, 200), descriptors(rng, 200)
    view = seen(np.concatenate([car, there]), HOME, np.concatenate([shared, own]), rng, 0.3)
    # As many keypoints lie where the map's points fall: it is not they that are missing.
    elsewhere = np.concatenate([car, there, here])
    strange = np.concatenate([shared, descriptors(rng, 200), others])
    query = seen(elsewhere, AWAY, strange, rng, 0.3, None)
    config = replace(CONFIG, min_inlier_ratio=0.0, max_log_chance=0.0)
    refused(verify(query, view_of(1, view, HOME), config=config), 'looks like', 'looks like')
    trusting = replace(config, min_agreement=0.0)
    assert verify(query, view_of(1, view, HOME), config=trusting).pose is not None

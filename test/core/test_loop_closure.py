"""A robot closes the loops it drives, each once, and no others."""

from __future__ import annotations

import numpy as np
import pytest
from loop_scenes import BAR, DIM, Robot
from samples import error_of
from verification_scenes import errors, pose_at

from cerfevpr_core.config import load_config
from cerfevpr_core.errors import MapError
from cerfevpr_core.geometry import Pose
from cerfevpr_core.loop_closure import LoopCloser
from cerfevpr_core.place_map import Manifest, PlaceMap


def test_a_place_seen_again_is_closed_with_both_ids(tmp_path) -> None:
    robot = Robot(tmp_path / 'map')
    first = [robot.see(place) for place in range(12)]
    assert all(answer.closure is None and answer.reason for answer in first)
    closure = robot.see(4).closure
    assert closure is not None
    assert (closure.from_id, closure.to_id) == (13, 5)
    assert (closure.from_external_id, closure.to_external_id) == ('slam 13', 'slam 5')
    assert closure.num_inliers >= 100 and closure.similarity == pytest.approx(1, abs=1e-5)
    assert closure.relative_pose is None and not closure.scale_known  # without a camera


def test_with_a_camera_the_closure_tells_the_direction_but_no_metres(tmp_path) -> None:
    robot = Robot(tmp_path / 'map')
    seen_from = []
    for place in [*range(12), 4]:
        closure = robot.see(place, calibrated=True).closure
        seen_from.append(robot.beside)
    assert closure is not None and closure.relative_pose is not None
    assert not closure.scale_known and closure.covariance is None
    true = np.linalg.inv(seen_from[4].matrix()) @ seen_from[12].matrix()
    found = closure.relative_pose.matrix()
    assert np.linalg.norm(found[:3, 3]) == pytest.approx(1)
    assert errors(found, Pose.from_matrix(true))[1] < 1.0  # degrees
    assert found[:3, 3] @ true[:3, 3] / np.linalg.norm(true[:3, 3]) > 0.95


def test_with_depth_the_closure_is_metric_whatever_the_drift(tmp_path) -> None:
    robot = Robot(tmp_path / 'map')
    for place in range(14):
        robot.see(place, pose=pose_at((3.0 * place, 0, 0), (0, 0.1, 0)), calibrated=True)
        if place == 4:
            middle = robot.beside
    drifted = pose_at((25.0, 7.0, -2.0), (0, 1.0, 0))  # where odometry takes it to be
    closure = robot.see(4, pose=drifted, calibrated=True).closure
    assert closure is not None and closure.to_id == 5 and closure.scale_known
    true = np.linalg.inv(middle.matrix()) @ robot.beside.matrix()
    assert closure.relative_pose is not None and closure.covariance is not None
    metres, degrees = errors(closure.relative_pose.matrix(), Pose.from_matrix(true))
    assert metres < 0.05 and degrees < 0.5
    assert closure.covariance.shape == (6, 6)
    assert np.linalg.eigvalsh(closure.covariance).min() > 0
    assert 0.1 * metres < np.sqrt(np.trace(closure.covariance[:3, :3])) < 0.5


def test_metres_need_fewer_inliers_than_two_views(tmp_path) -> None:
    def found(name: str, depth: bool) -> list[bool | None]:
        robot = Robot(tmp_path / name, min_inliers=70, sure_inliers=100)

        def see(place: int, at: float, share: float) -> bool | None:
            pose = pose_at((3.0 * at, 0, 0), (0, 0, 0)) if depth else None
            answer = robot.see(place, pose=pose, calibrated=True, share=share)
            return answer.found and answer.found.scale_known

        for place in range(20):
            see(place, place, 1.0)
        return [see(place, 15 + place, 0.3) for place in (6, 7, 8)]

    assert found('depth', True) == [None, True, True]
    assert found('none', False) == [None, None, None]


def test_the_recent_past_closes_no_loop(tmp_path) -> None:
    by_count = Robot(tmp_path / 'count')
    assert [by_count.see(7).closure for _ in range(6)] == [None] * 6
    by_time = Robot(tmp_path / 'time', min_age_s=20.0)
    answers = [
        by_time.see(7 if n in (0, 9, 11) else 100 + n, stamp_s=1 + 2 * n) for n in range(12)
    ]
    assert [n for n, answer in enumerate(answers) if answer.closure] == [11]  # 22 s later, not 18


def test_a_robot_that_stands_closes_no_loop_however_long(tmp_path) -> None:
    robot = Robot(tmp_path / 'map', min_age_s=20.0, min_travel_m=10.0)
    here = pose_at((0, 0, 0), (0, 0, 0))
    for n in range(15):
        answer = robot.see(7, stamp_s=1 + 10 * n, pose=here, calibrated=True)
        assert answer.closure is None and answer.reason


def test_a_look_alike_with_another_geometry_is_not_closed(tmp_path) -> None:
    robot = Robot(tmp_path / 'map')
    for place in range(12):
        robot.see(place)
    for _ in range(4):
        answer = robot.see(4, points_of=500)
        assert answer.found is None and 'no candidate is verified' in answer.reason


def test_weak_matches_count_only_where_images_in_a_row_agree(tmp_path) -> None:
    def robot_after_lap(name: str, places: list[int]) -> list[bool]:
        robot = Robot(tmp_path / name, min_inliers=25, sure_inliers=100, max_step=2)
        for place in range(30):
            robot.see(place)
        return [robot.see(place, share=0.45).found is not None for place in places]

    assert robot_after_lap('along', [10, 11, 12]) == [False, True, True]
    assert robot_after_lap('back', [12, 11, 10]) == [False, True, True]
    assert robot_after_lap('one blurred', [10, 900, 12]) == [False, False, True]
    assert robot_after_lap('jumping', [10, 20, 3]) == [False, False, False]


def test_a_closure_is_told_once_but_found_for_every_image(tmp_path) -> None:
    robot = Robot(tmp_path / 'map', quiet_images=3)
    for place in range(12):
        robot.see(place)
    answers = [robot.see(place) for place in (2, 3, 4, 5, 6)]
    assert all(answer.found for answer in answers)
    assert [answer.closure is not None for answer in answers] == [True, False, False, True, False]
    assert 'was told a moment ago' in answers[1].reason
    told = Robot(tmp_path / 'each', quiet_images=0)
    for place in range(12):
        told.see(place)
    assert all(told.see(place).closure for place in (2, 3, 4))


def test_the_past_of_an_earlier_start_counts(tmp_path) -> None:
    robot = Robot(tmp_path / 'map')
    for place in range(12):
        robot.see(place)
    robot.closer = LoopCloser(robot.config, robot.place_map)
    closure = robot.see(4).closure
    assert closure is not None and closure.to_id == 5


def test_a_map_without_keypoints_is_refused(tmp_path) -> None:
    place_map = PlaceMap.create(tmp_path / 'map', Manifest('model', {}, DIM))
    text = error_of(MapError, LoopCloser, load_config(overrides=BAR), place_map)
    assert 'keeps no keypoints' in text and 'loop.enabled' in text

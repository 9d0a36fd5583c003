"""Which images of a drive become keyframes."""

from __future__ import annotations

import math

import pytest

from cerfevpr_core.config import MappingConfig
from cerfevpr_core.geometry import Pose
from cerfevpr_core.keyframe_policy import KeyframePolicy, Moment, turn_deg

S = 1_000_000_000


def pose(x_m: float, yaw_deg: float = 0.0) -> Pose:
    half = math.radians(yaw_deg) / 2
    return Pose((x_m, 0.0, 0.0), (0.0, 0.0, math.sin(half), math.cos(half)))


def kept(config: MappingConfig, moments: list[Moment]) -> list[int]:
    """The indices of the moments that become keyframes."""
    policy, chosen = KeyframePolicy(config), []
    for number, moment in enumerate(moments):
        if not policy.reason_against(moment):
            policy.added(moment)
            chosen.append(number)
    return chosen


def test_a_straight_drive_gives_a_keyframe_for_each_distance() -> None:
    drive = [Moment(i * S // 10, pose(0.25 * i)) for i in range(13)]
    assert kept(MappingConfig(min_distance_m=1.0), drive) == [0, 4, 8, 12]


def test_turning_on_the_spot_gives_a_keyframe_for_each_angle() -> None:
    turn = [Moment(i * S // 10, pose(0.0, 10.0 * i)) for i in range(37)]
    assert kept(MappingConfig(min_turn_deg=45.0), turn) == [0, 5, 10, 15, 20, 25, 30, 35]


def test_a_robot_that_stands_adds_nothing_unless_a_time_is_set() -> None:
    stands = [Moment(i * S, pose(0.0)) for i in range(61)]
    assert kept(MappingConfig(), stands) == [0]
    assert kept(MappingConfig(max_interval_s=20.0), stands) == [0, 20, 40, 60]


def test_without_poses_time_decides_and_0_takes_every_image() -> None:
    images = [Moment(i * S // 2) for i in range(6)]
    assert kept(MappingConfig(min_interval_s=1.0), images) == [0, 2, 4]
    assert kept(MappingConfig(min_interval_s=0.0), images) == [0, 1, 2, 3, 4, 5]


def test_a_pose_that_comes_or_goes_falls_to_time() -> None:
    mixed = [Moment(0), Moment(S // 2, pose(9.0)), Moment(S, pose(9.0)), Moment(3 * S // 2)]
    assert kept(MappingConfig(), mixed) == [0, 2]


def test_a_clock_that_is_set_back_starts_a_new_drive() -> None:
    jump = [Moment(100 * S, pose(0.0)), Moment(5 * S, pose(0.0)), Moment(6 * S, pose(0.0))]
    assert kept(MappingConfig(), jump) == [0, 1]


def test_the_reason_against_names_what_was_found_and_the_setting() -> None:
    policy = KeyframePolicy(MappingConfig())
    policy.added(Moment(0, pose(0.0)))
    reason = policy.reason_against(Moment(S, pose(0.4, 5.0)))
    assert '0.40 m and 5 degrees' in reason and 'mapping.min_distance_m is 1.0' in reason
    assert 'mapping.min_interval_s is 1.0' in policy.reason_against(Moment(S // 2))


def test_a_turn_is_the_same_for_both_signs_of_a_quaternion() -> None:
    a, b = pose(0.0, 10.0), pose(0.0, 70.0)
    flipped = Pose(b.position_m, tuple(-q for q in b.quaternion))  # type: ignore[arg-type]
    assert turn_deg(a, b) == pytest.approx(60.0)
    assert turn_deg(a, flipped) == pytest.approx(60.0)
    assert turn_deg(a, a) == pytest.approx(0.0, abs=1e-5)

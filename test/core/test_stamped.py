"""Poses and depth are found again by the stamps of images."""

from __future__ import annotations

import math
import threading
import time

import pytest

from cerfevpr_core.geometry import Pose
from cerfevpr_core.stamped import Recent, pose_at

MS = 1_000_000
S = 1000 * MS


def pose(x_m: float, yaw_deg: float = 0.0) -> Pose:
    half = math.radians(yaw_deg) / 2
    return Pose((x_m, 0.0, 0.0), (0.0, 0.0, math.sin(half), math.cos(half)))


def recent(*items: tuple[int, Pose]) -> Recent[Pose]:
    poses: Recent[Pose] = Recent(100)
    for stamp_ns, item in items:
        poses.put(stamp_ns, item)
    return poses


def test_a_pose_between_two_is_interpolated_in_place_and_angle() -> None:
    poses = recent((0, pose(0.0, 0.0)), (100 * MS, pose(1.0, 40.0)))
    found = pose_at(poses, 25 * MS, 0.2, 0.02)
    assert found is not None
    assert found.position_m == pytest.approx((0.25, 0.0, 0.0))
    assert found.quaternion == pytest.approx(pose(0.25, 10.0).quaternion)


def test_the_order_in_which_poses_come_does_not_matter() -> None:
    poses = recent((200 * MS, pose(2.0)), (0, pose(0.0)), (100 * MS, pose(1.0)))
    found = pose_at(poses, 150 * MS, 0.2, 0.02)
    assert found is not None and found.position_m[0] == pytest.approx(1.5)


def test_poses_too_far_apart_give_none_but_an_exact_stamp_does() -> None:
    poses = recent((0, pose(0.0)), (S, pose(1.0)))
    assert pose_at(poses, 500 * MS, 0.2, 0.02) is None
    assert pose_at(poses, S, 0.2, 0.02) == pose(1.0)
    assert pose_at(poses, S - 10 * MS, 0.2, 0.02) == pose(1.0)
    assert pose_at(poses, S + 10 * MS, 0.2, 0.02) == pose(1.0)
    assert pose_at(poses, S + 30 * MS, 0.2, 0.02) is None
    assert pose_at(recent(), 0, 0.2, 0.02) is None


def test_waiting_ends_when_the_pose_comes_and_when_the_time_is_over() -> None:
    poses = recent((0, pose(0.0)))
    late = threading.Timer(0.1, lambda: poses.put(100 * MS, pose(1.0)))
    late.start()
    found = pose_at(poses, 50 * MS, 0.2, 0.02, wait_s=5.0)
    assert found is not None and found.position_m[0] == pytest.approx(0.5)
    start_s = time.monotonic()
    assert pose_at(poses, S, 0.2, 0.02, wait_s=0.2) is None
    assert 0.15 < time.monotonic() - start_s < 2.0


def test_the_nearest_depth_counts_only_within_its_gap() -> None:
    depths: Recent[str] = Recent(4)
    depths.put(100 * MS, 'a')
    depths.put(133 * MS, 'b')
    assert depths.nearest(110 * MS, 0.02) == 'a'
    assert depths.nearest(120 * MS, 0.02) == 'b'
    assert depths.nearest(170 * MS, 0.02) is None


def test_only_the_newest_are_kept_and_a_clock_set_back_starts_anew() -> None:
    depths: Recent[int] = Recent(3)
    for number in range(10):
        depths.put(number * S, number)
    assert depths.nearest(6 * S, 0.1) is None and depths.nearest(7 * S, 0.1) == 7
    depths.put(9 * S, 99)  # the same stamp once more
    assert depths.nearest(9 * S, 0.1) == 99
    late: Recent[int] = Recent(100, span_s=10.0)
    late.put(1000 * S, 1)
    late.put(995 * S, 0)  # out of order, no jump
    assert late.nearest(1000 * S, 0.1) == 1
    late.put(5 * S, 2)
    assert late.nearest(1000 * S, 0.1) is None and late.nearest(5 * S, 0.1) == 2

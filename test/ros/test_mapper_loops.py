"""A mapper that comes to places of its past: what it publishes on ~/loop_closures."""

from __future__ import annotations

import pytest
from driver import Driver, Seen
from messages import number_of
from processes import INTERFACES, node, wait_until

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from cerfevpr_core.data.drawn_route import DEFAULT_CAMERA, DrawnRoute
from cerfevpr_msgs.msg import LoopClosure

pytestmark = [pytest.mark.ros, pytest.mark.slow]

NUM_PLACES = 6


@pytest.fixture(scope='module')
def street() -> list[Seen]:
    route = DrawnRoute(4, NUM_PLACES)
    frames = [route.frame(number, 'summer') for number in range(NUM_PLACES)]
    return [Seen(f.image, f.pose, f.depth_m) for f in frames]


def mapping(tmp_path, **others) -> dict:
    return {
        'map.path': str(tmp_path / 'map'),
        'method': 'grid',
        'verification.detector': 'orb',
        'use_depth': True,
        'pose_source': 'pose',
        'mapping.min_distance_m': 0.0,
        'loop.min_age_s': 5.5,
        'loop.min_travel_m': 0.0,
        'loop.min_images': 0,
        'loop.min_consecutive': 1,
        'loop.quiet_images': 0,
        **others,
    }


def drive_twice(driver: Driver, street: list[Seen]) -> tuple[list, list]:
    laps = [[driver.until_added(seen, DEFAULT_CAMERA) for seen in street] for _ in range(2)]
    return laps[0], laps[1]


def test_a_place_that_is_seen_again_is_told_with_both_ids_and_the_pose_between(
    client, street, tmp_path
):
    with node('mapper', tmp_path, 'loops', mapping(tmp_path)) as process:
        driver = Driver(client, 'loops', process)
        closures = client.hears(LoopClosure, f'{driver.name}/loop_closures')
        first, second = drive_twice(driver, street)
        wait_until(lambda: len(closures) >= NUM_PLACES - 1, 'loops are told')
        place_of = {m.keyframe_id: i for lap in (first, second) for i, m in enumerate(lap)}
        stamps = {m.keyframe_id: number_of(m) for m in second}
        for closure in closures:
            assert closure.from_keyframe_id > closure.to_keyframe_id
            apart = place_of[closure.from_keyframe_id] - place_of[closure.to_keyframe_id]
            assert abs(apart) <= 1
            assert number_of(closure) == stamps[closure.from_keyframe_id]
            assert closure.num_inliers > 20 and closure.has_pose and closure.scale_known
            if apart == 0:  # the very same image
                shift = closure.relative_pose.pose.position
                assert max(abs(shift.x), abs(shift.y), abs(shift.z)) < 0.1
        pairs = [(c.from_keyframe_id, c.to_keyframe_id) for c in closures]
        assert len(set(pairs)) == len(pairs)


def test_loop_closure_can_be_switched_off(client, street, tmp_path):
    parameters = mapping(tmp_path, **{'loop.enabled': False})
    with node('mapper', tmp_path, 'no_loops', parameters) as process:
        driver = Driver(client, 'no_loops', process)
        closures = client.hears(LoopClosure, f'{driver.name}/loop_closures')
        drive_twice(driver, street[:3])
        driver.until_added(street[3], DEFAULT_CAMERA)
        assert not closures

"""A camera that misbehaves in front of a running localizer: clocks, restarts, sizes, floods."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from client import Camera, Client
from messages import START_NS, image_msg, number_of
from processes import INTERFACES, TimedOut, wait_until

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from rosgraph_msgs.msg import Clock

from cerfevpr_msgs.srv import Localize
from cerfevpr_ros.conversions import ns_to_stamp, stamp_to_ns
from cerfevpr_ros.soak.bad_images import bad_images
from cerfevpr_ros.soak.watch import look_at

pytestmark = [pytest.mark.ros, pytest.mark.slow]

HOUR_NS = 3600 * 10**9
MIB = 2**20


def answered(camera: Camera, msg, num_before: int = 0):
    """The answer to a message; it is sent again if none comes, for best effort may lose it."""
    stamp_ns = stamp_to_ns(msg.header.stamp)

    def answers() -> list:
        return [m for m in list(camera.matches) if stamp_to_ns(m.header.stamp) == stamp_ns]

    for _ in range(10):
        camera.raw.publish(msg)
        try:
            wait_until(lambda: len(answers()) > num_before, '', 10)
        except TimedOut:
            continue
        return answers()[-1]
    raise AssertionError(f'no answer to stamp {stamp_ns}')


def test_stamps_that_jump_or_come_out_of_order_are_answered_by_their_own(localizer, route):
    base = START_NS + 10**12
    for offset in (0, -HOUR_NS, HOUR_NS, 5, 3, 4, -2 * HOUR_NS):
        msg = image_msg(route.images[0], 0)
        msg.header.stamp = ns_to_stamp(base + offset)
        assert answered(localizer, msg).header == msg.header


def test_an_image_without_a_stamp_is_answered_each_time(localizer, route):
    msg = image_msg(route.images[1], 0)
    msg.header.stamp = ns_to_stamp(0)
    for num_before in range(3):
        assert answered(localizer, msg, num_before).header.stamp.sec == 0


def test_a_recording_that_loops_is_answered_in_every_loop(localizer, route):
    numbers = [10_000_001, 10_000_002, 10_000_003]
    for loop in range(3):
        for number in numbers:
            answered(localizer, image_msg(route.images[number % 3], number), loop)


def test_the_nodes_clock_may_jump_back_and_it_answers_and_reports(localizer, route):
    from diagnostic_msgs.msg import DiagnosticArray

    clock = localizer.client.node.create_publisher(Clock, '/clock', 10)
    reports = localizer.client.hears(DiagnosticArray, '/diagnostics')
    set_parameter(localizer, 'use_sim_time', ParameterValue(type=1, bool_value=True))
    try:
        for start_ns in (START_NS, START_NS - HOUR_NS):
            reports.clear()
            for step in range(40):
                clock.publish(Clock(clock=ns_to_stamp(start_ns + step * 10**8)))
                time.sleep(0.05)
            wait_until(lambda: len(reports), 'a report by the new clock')
            localizer.warm_up(route.images[0])
    finally:
        set_parameter(localizer, 'use_sim_time', ParameterValue(type=1, bool_value=False))
        localizer.client.node.destroy_publisher(clock)


def set_parameter(localizer, name: str, value: ParameterValue) -> None:
    request = [ParameterMsg(name=name, value=value)]
    service = f'{localizer.name}/set_parameters'
    assert localizer.client.call(SetParameters, service, parameters=request).results[0].successful


def test_a_camera_driver_that_starts_anew_is_heard_again(localizer, route):
    for _ in range(3):
        client = Client()  # a participant of its own
        try:
            camera = Camera(client, 'shared', localizer.process)
            camera.number = localizer.number = localizer.number + 100
            camera.warm_up(route.images[2])
            localizer.number = camera.number
        finally:
            client.close()
    localizer.warm_up(route.images[0])


@pytest.mark.parametrize('size', [(33, 97), (641, 479), (1280, 960), (64, 48)])
def test_a_camera_may_change_its_size_at_any_time(localizer, route, recognizer, size):
    resized = np.asarray(cv2.resize(route.images[5], size), np.uint8)
    localizer.number += 1
    msg = image_msg(resized, localizer.number)
    assert answered(localizer, msg).matches
    # By itself: what the topic answers counts in the images before.
    found = localizer.client.call(Localize, f'{localizer.name}/localize', image=msg).result
    expected = recognizer.recognize(resized).candidates[0]
    assert found.matches[0].keyframe_id == expected.keyframe_id


def test_what_rclpy_itself_cannot_read_does_not_end_the_node(localizer, route):
    client = localizer.client.client_of(SetParameters, f'{localizer.name}/set_parameters')
    bad = ParameterMsg(name='map.top_k', value=ParameterValue(type=200))
    future = client.call_async(SetParameters.Request(parameters=[bad]))
    wait_until(lambda: 'a callback failed' in localizer.process.output, 'the node says so')
    assert '200 is not a valid Parameter.Type' in localizer.process.output
    client.remove_pending_request(future)
    localizer.warm_up(route.images[0])
    names = ['map.top_k']
    service = f'{localizer.name}/get_parameters'
    (value,) = localizer.client.call(GetParameters, service, names=names).values
    assert value.integer_value == 4


def test_a_flood_leaves_memory_as_it_was(localizer, route):
    large = np.asarray(cv2.resize(route.images[0], (640, 480)), np.uint8)
    pid = localizer.process.child.pid
    flood(localizer, large, 100)  # the first one fills what stays
    before = look_at(pid)
    for _ in range(4):
        flood(localizer, large, 100)  # 90 MB each, if anything queued
    after = look_at(pid)
    assert after.rss_bytes - before.rss_bytes < 60 * MIB
    assert after.num_threads == before.num_threads
    assert abs(after.num_files - before.num_files) <= 2


def flood(localizer, image: np.ndarray, number: int) -> None:
    first = localizer.number + 1
    for _ in range(number):
        localizer.send(image)
    localizer.warm_up(image)  # the last one may be lost, as best effort does
    since = range(first, localizer.number + 1)
    numbers = [number_of(m) for m in list(localizer.matches) if number_of(m) in since]
    assert numbers == sorted(numbers) and 0 < len(numbers) < number


def test_images_that_no_camera_should_send_cost_no_memory(localizer, route):
    import random

    bad = bad_images(route.images[0], random.Random(0))
    assert {'png bomb', 'jpeg bomb', 'absurd size'} <= set(bad)
    localizer.warm_up(route.images[0])
    before = look_at(localizer.process.child.pid)
    for msg in bad.values():
        (localizer.raw if hasattr(msg, 'step') else localizer.compressed).publish(msg)
        time.sleep(0.1)
    localizer.warm_up(route.images[0])
    assert look_at(localizer.process.child.pid).rss_bytes - before.rss_bytes < 60 * MIB

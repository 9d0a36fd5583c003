"""What the nodes go through, again and again: work, floods, and a camera that misbehaves."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

import cv2
import numpy as np
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock

from cerfevpr_core.geometry import Camera
from cerfevpr_core.pixel_formats import RGB
from cerfevpr_msgs.srv import Localize
from cerfevpr_ros.conversions import ns_to_stamp
from cerfevpr_ros.soak.bad_images import bad_images
from cerfevpr_ros.soak.rig import Rig, raw_msg

FLOOD_FACTOR = 10  # times the rate that can be served
_HOUR_NS = 3600 * 1_000_000_000
_SIZES = ((64, 48), (641, 479), (320, 240), (1280, 960), (33, 97))  # width, height
_SETTLE_S = 0.5
_NUM_COMPARED = 8  # images whose keyframe is compared over the whole run


@dataclass
class Stage:
    """What a phase needs: the rig, the images to play, and what was measured so far."""

    rig: Rig
    images: list[RGB]
    camera: Camera | None  # of the images, where it is known
    random: random.Random
    scale: float = 1.0  # of how long phases take
    served_ms: float = 100.0  # median of the steady phase
    flood_hz: float = 0.0  # as reached
    expected: dict[int, int] = field(default_factory=dict)  # image -> its first keyframe


def steady(stage: Stage) -> None:
    """One image after another; asked by itself, each gets the keyframe that it always got."""
    rig, took_ms = stage.rig, []
    for _ in range(max(5, round(20 * stage.scale))):
        number = stage.random.randrange(len(stage.images))
        begin_s = time.monotonic()
        _tell_camera(stage)
        rig.ask_surely(stage.images[number], 'in quiet times')
        took_ms.append(1e3 * (time.monotonic() - begin_s))
    stage.served_ms = float(np.median(took_ms))
    for number in stage.random.sample(range(min(len(stage.images), _NUM_COMPARED)), 3):
        compare(stage, number)


def compare(stage: Stage, number: int) -> None:
    """An image asked by itself, without those before it: the same keyframe as the first time."""
    found = place_of(stage, number)
    if stage.expected.setdefault(number, found) != found:
        stage.rig.tally.failed(f'image {number} got keyframe {found}, not the one before')
    stage.rig.tally.count('answers compared')


def place_of(stage: Stage, number: int) -> int:
    """The first keyframe of an image that is asked about by itself; 0 without any."""
    request = Localize.Request(image=raw_msg(stage.images[number], 0))
    response = stage.rig.call(Localize, '/localizer/localize', request, 60.0)
    if response is None or not response.success:
        why = 'no response' if response is None else response.message
        stage.rig.tally.failed(f'localize: {why}')
        return 0
    return int(response.result.matches[0].keyframe_id) if response.result.matches else 0


def flood(stage: Stage) -> None:
    """Ten times what can be served, as far as this machine can send; then one image is asked."""
    rig, every_s = stage.rig, stage.served_ms / 1e3 / FLOOD_FACTOR
    msgs = [raw_msg(image, 0) for image in stage.images]
    begin_s = next_s = time.monotonic()
    num_sent = 0
    while time.monotonic() < begin_s + 12 * stage.scale:
        msg = msgs[num_sent % len(msgs)]
        msg.header.stamp = ns_to_stamp(rig.stamp_ns())
        rig.lens.send(msg)
        num_sent += 1
        next_s = max(next_s + every_s, time.monotonic() - every_s)
        time.sleep(max(0.0, next_s - time.monotonic()))
    stage.flood_hz = num_sent / (time.monotonic() - begin_s)
    rig.ask_surely(stage.images[0], 'after the flood')


def balance(stage: Stage) -> None:
    """What was received was answered, dropped or rejected, and the diagnostics say so."""
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline:
        time.sleep(0.2)
        counts = [int(stage.rig.diagnostics.get(name, -1)) for name in _COUNTS]
        if counts[0] >= 0 and counts[0] == sum(counts[1:]):
            stage.rig.tally.count('balanced')
            return
    stage.rig.tally.failed(f'diagnostics do not add up: {dict(zip(_COUNTS, counts, strict=True))}')


_COUNTS = (
    'images received',
    'images answered',
    'images dropped for a newer one',
    'images rejected',
)


def stamps(stage: Stage) -> None:
    """Stamps an hour back and ahead, out of order, twice, zero: each answer carries its own."""
    rig, now_ns = stage.rig, stage.rig.stamp_ns()
    shuffled = [now_ns + i for i in range(5)]
    stage.random.shuffle(shuffled)
    odd = [now_ns - _HOUR_NS, now_ns + _HOUR_NS, now_ns - 2 * _HOUR_NS, 0, *shuffled, 1]
    for stamp_ns in odd:
        image = stage.random.choice(stage.images)
        if all(rig.ask(image, stamp_ns, 5.0) is None for _ in range(3)):
            rig.tally.failed(f'no answer to stamp {stamp_ns - now_ns} ns from now')
    _loop(stage)


def _loop(stage: Stage) -> None:
    """A recording that starts anew repeats its stamps; it is answered again."""
    rig, start_ns = stage.rig, stage.rig.stamp_ns()
    for image, stamp_ns in [(stage.images[i % 3], start_ns + i % 3) for i in range(9)]:
        before = rig.tally.num_answers()
        rig.lens.send(raw_msg(image, stamp_ns))
        if not rig.tally.wait_for_more(before, 5.0):
            rig.tally.count('repeated stamp without an answer')


def sim_time(stage: Stage) -> None:
    """The node's own clock jumps back and ahead: it answers, and reports, all the same."""
    rig = stage.rig
    clock = rig.node.create_publisher(Clock, '/clock', 10)
    _set_parameter(rig, 'use_sim_time', True)
    try:
        for jump_s in (0, 3600, -7200, 30):
            begin_ns = time.time_ns() + jump_s * 1_000_000_000
            seen = rig.num_diagnostics
            for step in range(15):  # 1.5 s of it
                clock.publish(Clock(clock=ns_to_stamp(begin_ns + step * 100_000_000)))
                time.sleep(0.1)
            if rig.num_diagnostics == seen:
                rig.tally.failed(f'no diagnostics after the clock jumped by {jump_s} s')
            if rig.ask(stage.images[0], begin_ns) is None:
                rig.ask_surely(stage.images[0], f'after the clock jumped by {jump_s} s')
            rig.tally.count('clock jumps')
    finally:
        _set_parameter(rig, 'use_sim_time', False)
        rig.node.destroy_publisher(clock)


def restarts(stage: Stage) -> None:
    """The camera's driver ends and starts again."""
    for _ in range(max(1, round(3 * stage.scale))):
        stage.rig.new_lens()
        stage.rig.tally.count('camera restarts')
        time.sleep(_SETTLE_S)
        stage.rig.ask_surely(stage.images[0], 'after the camera was restarted')


def sizes(stage: Stage) -> None:
    """The camera changes its size, with and without telling so in camera_info."""
    rig = stage.rig
    for size in _SIZES:
        image = np.asarray(cv2.resize(stage.images[0], size), np.uint8)
        rig.ask_surely(image, f'at {size[0]} x {size[1]} pixels')
        _tell_camera(stage, size)
        rig.ask_surely(image, f'at {size[0]} x {size[1]} pixels with its calibration')
    _tell_camera(stage)
    rig.ask_surely(stage.images[0], 'at its own size again')


def bad(stage: Stage) -> None:
    """Images that no camera should send cost themselves alone."""
    rig = stage.rig
    rejected = int(rig.diagnostics.get('images rejected', 0))
    msgs = bad_images(stage.images[0], stage.random)
    for msg in msgs.values():
        rig.lens.send(msg, counted=False)
        time.sleep(0.15)  # served one by one, else a newer one takes its place
        rig.tally.count('bad images sent')
    rig.ask_surely(stage.images[0], 'after bad images')
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        now = int(rig.diagnostics.get('images rejected', 0))
        if now - rejected >= len(msgs):
            break
        time.sleep(0.1)
    rig.tally.count('bad images rejected', now - rejected)


def _tell_camera(stage: Stage, size: tuple[int, int] | None = None) -> None:
    if stage.camera is not None:
        camera = _resized(stage.camera, size) if size else stage.camera
        stage.rig.lens.send_camera(camera, ns_to_stamp(stage.rig.stamp_ns()))


def _resized(camera: Camera, size: tuple[int, int]) -> Camera:
    x, y = size[0] / camera.width_px, size[1] / camera.height_px
    return Camera(
        *size, camera.fx * x, camera.fy * y, camera.cx * x, camera.cy * y, camera.distortion
    )


def _set_parameter(rig: Rig, name: str, value: bool) -> None:
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    response = rig.call(SetParameters, '/localizer/set_parameters', request)
    if response is None or not response.results[0].successful:
        rig.tally.failed(f'{name} could not be set to {value}')

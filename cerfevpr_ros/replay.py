"""Replay: plays an image folder or a rosbag2 as a camera, and by default waits for each answer."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import TextIO

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from cerfevpr_core.data.frames import BagFrames, FolderFrames, Frame, FrameSource
from cerfevpr_core.errors import ConfigError, ImageError
from cerfevpr_msgs.msg import PlaceMatchArray
from cerfevpr_ros.answer_lines import answer_line, in_words
from cerfevpr_ros.conversions import stamp_to_ns
from cerfevpr_ros.parameters import own_parameter
from cerfevpr_ros.playback import Playback
from cerfevpr_ros.program import run_program, shut_down

_KNOCK_S = 2.0
_LOOK_S = 0.1
_SETTLE_S = 1.0  # for listeners to find us: no answer tells that they have
_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_DEFAULTS: dict[str, str | int | float] = {
    'images': '',  # a folder of jpg and png files, or:
    'bag': '',  # a rosbag2, sqlite3 or mcap
    'topic': '',  # the bag's image topic, if it has several
    'camera': '',  # a ROS calibration YAML; without it camera.yaml in the folder, if there
    'poses': '',  # TUM form, by name or stamp, of the camera in the map: published on `pose`
    'depth': '',  # a folder of 16-bit png files in millimetres: published on `depth`
    'first': 0,  # the first image to play, and
    'every': 1,  # every so many images from there
    'rate_hz': 0.0,  # 0: the next image once the last one is answered
    'wait_for': 'localizer',  # listener: whoever listens to the images; then rate_hz is needed
    'answer_timeout_s': 10.0,
    'start_timeout_s': 120.0,  # how long to wait for a localizer
    'frame_id': 'camera',
    'map_frame': 'map',  # of the poses
    'answers': '',  # a file that gets one JSON line for each image
}


class Replay(Node):
    """Publishes images and what is known beside them, and listens to the answers."""

    def __init__(self) -> None:
        super().__init__('replay', automatically_declare_parameters_from_overrides=True)
        self.options = {name: own_parameter(self, name, d) for name, d in _DEFAULTS.items()}
        self._require_known()
        self.playback = Playback(self, self.options)
        self.subscription = self.create_subscription(
            PlaceMatchArray, 'localizer/place_matches', self._on_answer, _RELIABLE
        )
        self.answers: dict[int, tuple[PlaceMatchArray, float]] = {}
        self._arrived = threading.Condition()

    @property
    def expects_answers(self) -> bool:
        """Whether a localizer listens, which answers every image that it serves."""
        return bool(self.options['wait_for'] == 'localizer')

    def frames(self) -> FrameSource:
        """The images to play. Raises ConfigError or ImageError."""
        for name, least in (('first', 0), ('every', 1), ('rate_hz', 0)):
            if not self.options[name] >= least:
                found = self.options[name]
                raise ConfigError(f'wrong setting {name} = {found}: expected {least} or more')
        if self.options['wait_for'] not in ('localizer', 'listener'):
            found = self.options['wait_for']
            raise ConfigError(f'wrong setting wait_for = {found}: expected localizer or listener')
        if not self.expects_answers and not self.options['rate_hz']:
            raise ConfigError('wait_for:=listener needs a rate_hz: there is no answer to wait for')
        images, bag = self.options['images'], self.options['bag']
        if bool(images) == bool(bag):
            raise ConfigError('give one of the parameters images:=DIR and bag:=BAG')
        if images:
            return FolderFrames(Path(images).expanduser())
        return BagFrames(Path(bag).expanduser(), self.options['topic'] or None)

    def wait_for_localizer(self) -> None:
        """Until somebody listens to the images and somebody answers. Raises ImageError."""
        patience_s = self.options['start_timeout_s']
        deadline = time.monotonic() + patience_s
        who = 'localizer' if self.expects_answers else 'listener'
        while not (self.playback.images.get_subscription_count() and self._num_answering()):
            if time.monotonic() > deadline:
                raise ImageError(
                    f'no {who} on {self.playback.images.topic_name} after {patience_s:g} s; is it '
                    'running and active (`ros2 lifecycle get /localizer`), in the same '
                    'ROS_DOMAIN_ID, and does it listen to this topic?'
                )
            self._pause(0.02)
        if not self.expects_answers:
            self._pause(_SETTLE_S)

    def play(self, frames: FrameSource, log: TextIO | None) -> int:
        """Publish every image; with a log, one line for each. Returns how many were answered.

        Where no answers are expected, those that were sent count.
        """
        rate_hz, num_answered, start_s = self.options['rate_hz'], 0, 0.0
        chosen = islice(frames, self.options['first'], None, self.options['every'])
        sent: list[tuple[str, int]] = []
        for count, frame in enumerate(chosen):
            knocks = count == 0 and self.expects_answers
            stamp_ns = self._knock(frame) if knocks else self.playback.publish(frame)
            if rate_hz:
                start_s = start_s if count else time.monotonic()
                sent.append((frame.name, stamp_ns))
                self._pause(start_s + (count + 1) / rate_hz - time.monotonic())
            else:
                num_answered += self._conclude(frame.name, stamp_ns, log)
        for name, stamp_ns in sent if self.expects_answers else ():
            num_answered += self._conclude(name, stamp_ns, log)
        return num_answered if self.expects_answers else len(sent)

    def _knock(self, frame: Frame) -> int:
        """Send the first image until it is answered; returns the stamp of the answered one.

        Each side of DDS learns of the other by itself: that we see a localizer does not say that
        it hears us already, nor that its answers would reach us.
        """
        deadline = time.monotonic() + self.options['start_timeout_s']
        sent: list[int] = []
        while not sent or time.monotonic() < deadline:
            sent.append(self.playback.publish(frame))
            self._wait_for(lambda: any(s in self.answers for s in sent), _KNOCK_S)
            if answered := [s for s in sent if s in self.answers]:
                return answered[0]
        return sent[-1]

    def _conclude(self, name: str, stamp_ns: int, log: TextIO | None) -> bool:
        answer = self._wait(stamp_ns)
        line = answer_line(name, stamp_ns, answer)
        if log is not None:
            log.write(json.dumps(line) + '\n')
            log.flush()
        if answer is None:
            self.get_logger().warning(f'{name}: no answer')
        elif log is None:
            self.get_logger().info(in_words(line))
        return answer is not None

    def _wait(self, stamp_ns: int) -> tuple[PlaceMatchArray, float] | None:
        # When playing at a rate, an older image may have been dropped for a newer one: an answer
        # to a later image says that no answer to this one will come.
        def decided() -> bool:
            return stamp_ns in self.answers or max(self.answers, default=0) > stamp_ns

        self._wait_for(decided, self.options['answer_timeout_s'])
        return self.answers.get(stamp_ns)

    def _pause(self, seconds: float) -> None:
        self._wait_for(lambda: False, seconds)

    def _wait_for(self, happened: Callable[[], bool], seconds: float) -> None:
        # A signal ends the context, which does not surely wake any thread: look for it.
        deadline = time.monotonic() + seconds
        with self._arrived:
            while self.context.ok():
                left_s = deadline - time.monotonic()
                if happened() or left_s <= 0:
                    return
                self._arrived.wait(min(left_s, _LOOK_S))
        raise KeyboardInterrupt

    @contextmanager
    def spinning(self) -> Iterator[None]:
        """Listen in a thread of its own, which has ended when the block is left."""
        executor = SingleThreadedExecutor()
        executor.add_node(self)
        thread = threading.Thread(target=_spin, args=(executor,), name='spin', daemon=True)
        thread.start()
        try:
            with shut_down(executor):
                yield
        finally:
            thread.join()

    def _on_answer(self, msg: PlaceMatchArray) -> None:
        with self._arrived:
            stamp_ns = stamp_to_ns(msg.header.stamp)
            latency_ms = (self.get_clock().now().nanoseconds - stamp_ns) / 1e6
            self.answers[stamp_ns] = (msg, latency_ms)
            self._arrived.notify_all()

    def _num_answering(self) -> int:
        if not self.expects_answers:
            return 1
        return self.count_publishers(self.subscription.topic_name)

    def _require_known(self) -> None:
        known = {*_DEFAULTS, 'use_sim_time', 'start_type_description_service'}
        for name in self.get_parameters_by_prefix(''):
            if name not in known and not name.startswith('qos_overrides.'):
                raise ConfigError(f'unknown setting {name}; there are {", ".join(_DEFAULTS)}')


def main(arguments: list[str] | None = None) -> int:
    """Play everything once; 0 done, 1 a wrong setting or no localizer."""
    return run_program('replay', Replay, _run, arguments)


def _run(node: Replay) -> int:
    frames = node.frames()
    with _log_file(node.options['answers']) as log, node.spinning():
        node.wait_for_localizer()
        num_answered = node.play(frames, log)
    done = 'answered' if node.expects_answers else 'sent'
    node.get_logger().info(f'{num_answered} images {done}')
    return 0


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        return
    except Exception:
        if rclpy.ok():  # else a signal ended the context under it
            raise


def _log_file(path: str) -> AbstractContextManager[TextIO | None]:
    if not path:
        return nullcontext()
    try:
        return Path(path).expanduser().open('w', encoding='utf-8')
    except OSError as error:
        raise ConfigError(f'cannot write answers:={path}: {error.strerror}') from None


if __name__ == '__main__':
    sys.exit(main())

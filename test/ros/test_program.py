"""A node's end, as a signal brings it."""

from __future__ import annotations

import signal
import threading
import time

import pytest
from processes import INTERFACES

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

import rclpy
from rclpy.executors import SingleThreadedExecutor

from cerfevpr_ros import program

pytestmark = pytest.mark.ros


class Watched(SingleThreadedExecutor):
    """Keeps whether rclpy was still up when it was shut down."""

    was_up: bool | None = None

    def shutdown(self, timeout_sec=None):
        if self.was_up is None:
            self.was_up = self.context.ok()
        return super().shutdown(timeout_sec)


@pytest.fixture
def context():
    before = signal.getsignal(signal.SIGINT)
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    signal.signal(signal.SIGINT, before)
    context.try_shutdown()


def interrupt(executor):
    with pytest.raises(KeyboardInterrupt), program.shut_down(executor):
        raise KeyboardInterrupt


def test_after_a_signal_an_executor_is_shut_down_once_rclpy_is(context):
    executor = Watched(context=context)
    rclpy_answers = threading.Timer(0.3, context.shutdown)
    rclpy_answers.start()
    interrupt(executor)
    rclpy_answers.join()
    assert executor.was_up is False


def test_an_executor_is_shut_down_even_where_rclpy_answers_no_signal(context, monkeypatch):
    monkeypatch.setattr(program, '_PATIENCE_S', 0.1)
    executor = Watched(context=context)
    interrupt(executor)
    assert executor.was_up is True


def test_without_a_signal_an_executor_is_shut_down_at_once(context):
    executor, begin_s = Watched(context=context), time.monotonic()
    with program.shut_down(executor):
        pass
    assert executor.was_up is True
    assert time.monotonic() - begin_s < 1

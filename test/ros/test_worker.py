"""The workers by themselves."""

from __future__ import annotations

import threading

import pytest
from processes import wait_until

from cerfevpr_ros.worker import NewestWorker, OrderedWorker

pytestmark = pytest.mark.ros


class Slow:
    """Serves an item only once it is let go."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.served: list[int] = []
        self.go = threading.Semaphore(0)

    def __call__(self, item: int) -> None:
        self.begun.append(item)
        assert self.go.acquire(timeout=60)
        if item < 0:
            raise ValueError(f'{item} is no image')
        self.served.append(item)


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def worker(slow):
    worker = NewestWorker(slow)
    yield worker
    slow.go.release(10)
    worker.stop()


def test_of_the_items_that_wait_the_newest_is_served_and_the_others_are_counted(slow, worker):
    worker.submit(1)
    wait_until(lambda: slow.begun == [1], 'the first item is in work')
    for item in (2, 3, 4, 5):
        worker.submit(item)
    assert worker.num_dropped == 3
    slow.go.release(2)
    wait_until(lambda: slow.served == [1, 5], 'the newest is served')
    assert worker.num_dropped == 3


def test_an_item_that_comes_alone_is_not_dropped(slow, worker):
    for item in (1, 2, 3):
        worker.submit(item)
        slow.go.release()
        wait_until(lambda: slow.served[-1:] == [item], 'it is served')  # noqa: B023
    assert worker.num_dropped == 0


def test_an_item_that_fails_is_logged_and_the_next_one_is_served(slow, worker, caplog):
    worker.submit(-1)
    slow.go.release(2)
    wait_until(lambda: slow.begun == [-1], 'it is in work')
    wait_until(lambda: 'could not be served' in caplog.text, 'the failure is logged')
    assert '-1 is no image' in caplog.text
    worker.submit(2)
    wait_until(lambda: slow.served == [2], 'the next one is served')


def test_stop_finishes_the_item_in_work_and_counts_the_one_that_waits(slow, worker):
    worker.submit(1)
    wait_until(lambda: slow.begun == [1], 'the first item is in work')
    worker.submit(2)
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    wait_until(lambda: worker.num_dropped == 1, 'the waiting item is given up')
    assert stopping.is_alive() and slow.served == []
    slow.go.release(2)
    stopping.join(60)
    assert not stopping.is_alive()
    assert slow.served == slow.begun == [1]
    worker.submit(3)
    worker.stop()
    assert slow.begun == [1] and worker.num_dropped == 2


def test_an_ordered_worker_serves_everything_in_its_order(slow):
    ordered = OrderedWorker(slow, 100)
    for number in range(20):
        ordered.submit(number)
    slow.go.release(20)
    wait_until(lambda: len(slow.served) == 20, 'all are served')
    assert slow.served == list(range(20)) and ordered.num_dropped == 0
    ordered.stop()


def test_an_ordered_worker_drops_the_oldest_where_too_many_wait(slow):
    ordered = OrderedWorker(slow, 3)
    ordered.submit(0)
    wait_until(lambda: slow.begun == [0], 'the first is begun')
    for number in range(1, 8):
        ordered.submit(number)
    slow.go.release(8)
    wait_until(lambda: len(slow.served) == 4, 'the rest is served')
    assert slow.served == [0, 5, 6, 7] and ordered.num_dropped == 4
    ordered.stop()


def test_an_ordered_worker_bears_an_item_that_fails_and_stops_twice(slow):
    ordered = OrderedWorker(slow, 3)
    slow.go.release(10)
    ordered.submit(-1)
    ordered.submit(1)
    wait_until(lambda: slow.served == [1], 'the next is served')
    ordered.stop()
    ordered.stop()

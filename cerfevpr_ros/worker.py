"""Workers: one that serves the newest item alone, and one that serves all in their order."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar('T')


class NewestWorker(Generic[T]):
    """Serves items in a thread of its own; `submit` never waits, so that nothing queues up."""

    def __init__(self, serve: Callable[[T], None]) -> None:
        self.num_dropped = 0
        self._serve = serve
        self._waiting: T | None = None
        self._stopping = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name='worker', daemon=True)
        self._thread.start()

    def submit(self, item: T) -> None:
        """Hand over the newest item; one that still waits is dropped and counted."""
        with self._changed:
            self.num_dropped += self._waiting is not None or self._stopping
            self._waiting = None if self._stopping else item
            self._changed.notify()

    def stop(self) -> None:
        """Finish the item in work, drop the one that waits, end the thread. May come twice."""
        with self._changed:
            self.num_dropped += self._waiting is not None
            self._waiting, self._stopping = None, True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._waiting is not None)
                if self._stopping:
                    return
                item, self._waiting = self._waiting, None
            assert item is not None
            try:
                self._serve(item)
            except Exception:  # one item must not end the node
                log.exception('an image could not be served')


class OrderedWorker(Generic[T]):
    """Serves every item in a thread of its own; where too many wait the oldest is dropped."""

    def __init__(self, serve: Callable[[T], None], max_waiting: int) -> None:
        self.num_dropped = 0
        self._serve = serve
        self._waiting: queue.Queue[T | None] = queue.Queue(max_waiting)  # None: stop
        self._thread = threading.Thread(target=self._run, name='ordered', daemon=True)
        self._thread.start()

    def submit(self, item: T) -> None:
        """Hand over an item; never waits."""
        self._put(item)

    def stop(self) -> None:
        """Finish the item in work, drop those that wait, end the thread. May come twice."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
        self._put(None)
        self._thread.join()

    def _put(self, item: T | None) -> None:
        while True:
            try:
                self._waiting.put_nowait(item)
                return
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._waiting.get_nowait()
                    self.num_dropped += 1

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            try:
                self._serve(item)
            except Exception:  # one item must not end the node
                log.exception('an item could not be served')

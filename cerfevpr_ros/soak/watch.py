"""What the watched processes hold: memory, threads, files; one sample every second."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf('SC_PAGE_SIZE')
_SEGMENT = re.compile(rb'/dev/shm/(fastdds_\S+)')


@dataclass(frozen=True)
class Sample:
    """One look at one process."""

    at_s: float  # since the watch began
    rss_bytes: int
    num_threads: int
    num_files: int  # open file descriptors
    num_segments: int  # files in /dev/shm that it maps


class Watch:
    """Looks at processes until it is stopped; `samples` has a list for each name."""

    def __init__(self, pids: Mapping[str, int], every_s: float = 1.0) -> None:
        self.samples: dict[str, list[Sample]] = {name: [] for name in pids}
        self.start_s = time.monotonic()
        self.seconds = 0.0  # that it lasted, once it has ended
        self._pids = dict(pids)
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name='watch', daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self.seconds = self.now_s()

    def now_s(self) -> float:
        """Seconds since the watch began."""
        return time.monotonic() - self.start_s

    def _run(self) -> None:
        while not self._stopping.wait(self._every_s):
            for name, pid in self._pids.items():
                with contextlib.suppress(OSError):  # it has ended; the harness says so
                    self.samples[name].append(look_at(pid, self.now_s()))


def look_at(pid: int, at_s: float = 0.0) -> Sample:
    """What a process holds now. Raises OSError where there is none."""
    process = Path(f'/proc/{pid}')
    rss_pages = int((process / 'statm').read_text().split()[1])
    return Sample(
        at_s,
        rss_pages * _PAGE_BYTES,
        sum(1 for _ in (process / 'task').iterdir()),
        sum(1 for _ in (process / 'fd').iterdir()),
        len(set(_SEGMENT.findall((process / 'maps').read_bytes()))),
    )

"""Whether images are served as they should be, by what became of the last ones."""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

Event = Literal['received', 'answered', 'rejected']

STALE_S = 5.0  # without an image: the camera has stopped
_WINDOW_S = 10.0
_ENOUGH = 10  # images, to say that most are dropped
_MAX_REASONS = 10


class Level(IntEnum):
    """The numbers are those of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Health:
    """What an operator should know first."""

    level: Level
    message: str


class RecentEvents:
    """Images received, answered and rejected in the last seconds; times in s of any clock."""

    def __init__(self, started_s: float) -> None:
        self.started_s = started_s
        self.last_received_s: float | None = None
        self._events: deque[tuple[float, Event]] = deque(maxlen=10_000)

    def add(self, event: Event, now_s: float) -> None:
        """Something became of an image."""
        self._events.append((now_s, event))
        if event == 'received':
            self.last_received_s = now_s

    def counts(self, now_s: float) -> Counter[Event]:
        """How many of each kind in the last ten seconds."""
        return Counter(event for at_s, event in list(self._events) if at_s > now_s - _WINDOW_S)

    def health(self, now_s: float, last_rejection: str) -> Health:
        """The worst that is true now."""
        if self.last_received_s is None:
            waited_s = now_s - self.started_s
            level = Level.WARN if waited_s > STALE_S else Level.OK
            return Health(level, 'waiting for images')
        silent_s = now_s - self.last_received_s
        if silent_s > STALE_S:
            return Health(Level.ERROR, f'no image for {silent_s:.0f} s')
        counts = self.counts(now_s)
        if counts['rejected'] and not counts['answered']:
            return Health(Level.ERROR, f'no image could be read: {last_rejection}')
        served = counts['answered'] + counts['rejected']
        if counts['received'] >= _ENOUGH and served < counts['received'] / 2:
            dropped = 100 - 100 * served / counts['received']
            return Health(Level.WARN, f'{dropped:.0f} % of the images are dropped for newer ones')
        if counts['rejected'] > counts['answered']:
            return Health(Level.WARN, f'most images are rejected: {last_rejection}')
        return Health(Level.OK, '')

    def rate_hz(self, event: Event, now_s: float) -> float:
        """Over the last ten seconds, or since the start if that is later."""
        span_s = min(_WINDOW_S, now_s - self.started_s)
        return self.counts(now_s)[event] / span_s if span_s > 0 else 0.0


class Reasons:
    """How often each reason was given; numbers in its text do not make it another one."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, reason: str) -> None:
        """Count it, under a heading of its own while there are not too many."""
        heading = re.sub(r'\d+(\.\d+)?', '#', reason)[:120]
        known = heading in self.counts or len(self.counts) < _MAX_REASONS
        self.counts[heading if known else 'other reasons'] += 1

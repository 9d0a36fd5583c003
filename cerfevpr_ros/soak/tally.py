"""What was sent, what came back, and what went wrong; bounded, for a run of hours."""

from __future__ import annotations

import threading
import time
from collections import Counter, OrderedDict, defaultdict
from typing import Any

import numpy as np

_NUM_REMEMBERED = 20_000  # stamps that an answer may still come for
_NUM_FAILURES = 50  # kept in words; all are counted


class Tally:
    """Counts by phase. Safe from several threads; `changed` is notified of each answer."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.phase = ''
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.latency_ms: defaultdict[str, list[float]] = defaultdict(list)
        self.failures: list[str] = []
        self.num_failures = 0
        self._sent: OrderedDict[int, tuple[int, float, str]] = OrderedDict()
        self._num_sent = 0
        self._num_answers = 0
        self._last_answered = 0
        self._answered: OrderedDict[int, int] = OrderedDict()

    def count(self, what: str, number: int = 1) -> None:
        """Add to a count of the present phase."""
        with self.changed:
            self.counts[self.phase][what] += number

    def failed(self, why: str) -> None:
        """Something that must not happen."""
        with self.changed:
            self.num_failures += 1
            self.counts[self.phase]['failures'] += 1
            if len(self.failures) < _NUM_FAILURES:
                self.failures.append(f'{self.phase}: {why}')

    def sent(self, stamp_ns: int) -> None:
        """An image goes out; the latest with a stamp is the one that an answer is for."""
        with self.changed:
            self._num_sent += 1
            self.counts[self.phase]['sent'] += 1
            self._sent[stamp_ns] = self._num_sent, time.monotonic(), self.phase
            self._sent.move_to_end(stamp_ns)
            self._answered.pop(stamp_ns, None)  # a stamp that comes again needs a new answer
            _keep(self._sent)

    def answered(self, stamp_ns: int, keyframe_id: int) -> None:
        """An answer came; a stamp that nobody sent and an order that turned back are failures."""
        with self.changed:
            known = self._sent.get(stamp_ns)
            if known is None:
                self.failed(f'an answer carries the stamp {stamp_ns}, which no image had')
                return
            number, sent_s, phase = known
            self.counts[phase]['answered'] += 1
            self.latency_ms[phase].append(1e3 * (time.monotonic() - sent_s))
            if number < self._last_answered:
                self.counts[phase]['answered after a newer one'] += 1
            self._last_answered = max(self._last_answered, number)
            self._num_answers += 1
            self._answered[stamp_ns] = keyframe_id
            _keep(self._answered)
            self.changed.notify_all()

    def wait(self, stamp_ns: int, seconds: float) -> int | None:
        """The first keyframe of a stamp's answer, 0 for an answer without; None: no answer."""
        with self.changed:
            self.changed.wait_for(lambda: stamp_ns in self._answered, seconds)
            return self._answered.get(stamp_ns)

    def num_answers(self) -> int:
        """How many answers came so far."""
        with self.changed:
            return self._num_answers

    def wait_for_more(self, than: int, seconds: float) -> bool:
        """Whether more answers come in this time."""
        with self.changed:
            return self.changed.wait_for(lambda: self._num_answers > than, seconds)

    def table(self) -> dict[str, dict[str, Any]]:
        """Every phase's counts and latencies."""
        with self.changed:
            return {
                phase: {**counts, **_percentiles(self.latency_ms[phase])}
                for phase, counts in self.counts.items()
            }


def _percentiles(latency_ms: list[float]) -> dict[str, float]:
    if not latency_ms:
        return {}
    return {f'latency_ms_p{q}': round(float(np.percentile(latency_ms, q)), 1) for q in (50, 95)}


def _keep(kept: OrderedDict[int, Any]) -> None:
    while len(kept) > _NUM_REMEMBERED:
        kept.popitem(last=False)

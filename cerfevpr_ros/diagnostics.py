"""How the localizer is doing, for /diagnostics."""

from __future__ import annotations

import threading
import time
from collections import deque

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

_WINDOW = 100  # images that the times and the rate are taken over


class ServiceRecord:
    """Counts of images since activation, and the times of the last ones."""

    def __init__(self) -> None:
        self.num_received = 0
        self.num_answered = 0
        self.num_rejected = 0
        self.last_reason = ''
        self.num_posed = 0
        self.last_pose_reason = ''
        self._stages: deque[dict[str, float]] = deque(maxlen=_WINDOW)
        self._answered_at_s: deque[float] = deque(maxlen=_WINDOW)
        self._lock = threading.Lock()

    def answered(
        self, stage_ms: dict[str, float], has_pose: bool = False, pose_reason: str = ''
    ) -> None:
        """An image got its answer, and a pose or the reason why not."""
        with self._lock:
            self.num_answered += 1
            self.num_posed += has_pose
            self.last_pose_reason = pose_reason or self.last_pose_reason
            self._stages.append(dict(stage_ms))
            self._answered_at_s.append(time.monotonic())

    def rejected(self, reason: str) -> None:
        """An image could not be read."""
        with self._lock:
            self.num_rejected += 1
            self.last_reason = reason

    def values(self, num_dropped: int) -> dict[str, str]:
        """Everything as text, in the order it is shown."""
        with self._lock:
            stages, at_s = list(self._stages), list(self._answered_at_s)
        span_s = at_s[-1] - at_s[0] if len(at_s) > 1 else 0.0
        values = {
            'images received': str(self.num_received),
            'images answered': str(self.num_answered),
            'images dropped for a newer one': str(num_dropped),
            'images rejected': str(self.num_rejected),
            'last rejection': self.last_reason or '-',
            'images with a pose': str(self.num_posed),
            'last reason for no pose': self.last_pose_reason or '-',
            'rate (Hz)': f'{(len(at_s) - 1) / span_s:.1f}' if span_s else '-',
        }
        for stage in stages[-1] if stages else ():
            times = [s[stage] for s in stages if stage in s]
            values[f'{stage} (ms, median)'] = f'{np.median(times):.1f}'
        return values


def to_msg(
    name: str, record: ServiceRecord, num_dropped: int, about: dict[str, str]
) -> DiagnosticArray:
    """One status; a warning while images are rejected and none is answered."""
    silent = record.num_rejected > 0 and record.num_answered == 0
    if silent:
        message = f'no image could be read: {record.last_reason}'
    elif not record.num_received:
        message = 'waiting for images'
    else:
        message = f'{record.num_answered} images answered'
    values = about | record.values(num_dropped)
    status = DiagnosticStatus(
        level=DiagnosticStatus.WARN if silent else DiagnosticStatus.OK,
        name=f'{name}: place recognition',
        hardware_id='',
        message=message,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
    return DiagnosticArray(status=[status])

"""How a node that serves images is doing, for /diagnostics."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from cerfevpr_core.errors import MapError
from cerfevpr_core.geometry import Camera
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.recognizer import PlaceRecognizer
from cerfevpr_core.service_health import Health, Level, Reasons, RecentEvents

MAP_PROBLEM = 'map problem'  # among the values: an error whatever becomes of the images
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
        self.decisions: Counter[str] = Counter()
        self.rejections = Reasons()
        self.recent = RecentEvents(time.monotonic())
        self._stages: deque[dict[str, float]] = deque(maxlen=_WINDOW)
        self._answered_at_s: deque[float] = deque(maxlen=_WINDOW)
        self._lock = threading.Lock()

    def received(self) -> None:
        """An image came."""
        with self._lock:
            self.num_received += 1
            self.recent.add('received', time.monotonic())

    def answered(
        self,
        stage_ms: dict[str, float],
        has_pose: bool = False,
        pose_reason: str = '',
        decision: str = '',
    ) -> None:
        """An image got its answer, and a pose or the reason why not."""
        with self._lock:
            self.num_answered += 1
            self.num_posed += has_pose
            self.last_pose_reason = pose_reason or self.last_pose_reason
            if decision:
                self.decisions[decision] += 1
            self._stages.append(dict(stage_ms))
            self._answered_at_s.append(time.monotonic())
            self.recent.add('answered', time.monotonic())

    def rejected(self, reason: str) -> None:
        """An image could not be read."""
        with self._lock:
            self.num_rejected += 1
            self.last_reason = reason
            self.rejections.add(reason)
            self.recent.add('rejected', time.monotonic())

    def health(self) -> Health:
        """What an operator should know first."""
        found = self.recent.health(time.monotonic(), self.last_reason)
        return found if found.message else Health(Level.OK, f'{self.num_answered} images answered')

    def values(self, num_dropped: int) -> dict[str, str]:
        """Everything as text, in the order it is shown."""
        with self._lock:
            stages, at_s = list(self._stages), list(self._answered_at_s)
            decisions = dict(self.decisions)
            rejections = self.rejections.counts.most_common()
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
            'camera rate (Hz)': f'{self.recent.rate_hz("received", time.monotonic()):.1f}',
        }
        values |= {f'decided {name}': str(count) for name, count in decisions.items()}
        values |= {f'rejected: {reason}': str(count) for reason, count in rejections}
        for stage in stages[-1] if stages else ():
            times = [s[stage] for s in stages if stage in s]
            values[f'{stage} (ms, median)'] = f'{np.median(times):.1f}'
        return values


def to_msg(
    name: str,
    record: ServiceRecord,
    num_dropped: int,
    about: dict[str, str],
    is_listening: bool = True,
) -> DiagnosticArray:
    """One status: the worst that is true of the last images, and everything that was counted."""
    inactive = Health(Level.OK, 'not active: no images are listened to')
    health = record.health() if is_listening else inactive
    if MAP_PROBLEM in about:
        health = Health(Level.ERROR, about[MAP_PROBLEM])
    values = about | record.values(num_dropped)
    status = DiagnosticStatus(
        level=bytes([health.level]),
        name=f'{name}: place recognition',
        hardware_id='',
        message=health.message,
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )
    return DiagnosticArray(status=[status])


def about_keyframes(place_map: PlaceMap) -> dict[str, str]:
    """A map in use as it is on disk; where it is gone or damaged, what is wrong with it."""
    about = {'map': str(place_map.folder), 'map id': place_map.manifest.map_id}
    try:
        about['map generation'] = place_map.store.generation()
        about['keyframes in the map'] = str(len(place_map))
    except MapError as error:
        about[MAP_PROBLEM] = str(error)
    return about


def about_map(recognizer: PlaceRecognizer, camera: Camera | None) -> dict[str, str]:
    """The map in use, whether it can give poses, and what is known of the camera."""
    place_map, calibration = recognizer.place_map, 'not heard'
    if camera is not None:
        calibration = 'known' if camera.width_px else 'unusable, see the log'
    return {
        **about_keyframes(place_map),
        **_about_calibration(recognizer),
        'map keeps keypoints': 'yes' if recognizer.relocalizer is not None else 'no: no poses',
        'camera_info': calibration,
    }


def _about_calibration(recognizer: PlaceRecognizer) -> dict[str, str]:
    if recognizer.calibration is None:
        return {}
    try:
        return {'calibration of probabilities': recognizer.calibration.in_words()}
    except MapError as error:
        return {MAP_PROBLEM: str(error)}

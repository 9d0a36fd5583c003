"""The answers of a run: one line for each as it comes, then the result and the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.markup import escape

from cerfevpr_core.data.frames import frame_number
from cerfevpr_core.place_map import Candidate, PlaceMap


@dataclass
class Answers:
    """What the localizer answered, against the truth where there is one."""

    place_map: PlaceMap
    num_images: int
    frame_tolerance: int | None
    lines: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keyframes = {c.keyframe_id: c for c in self.place_map.store.everything()}

    def add(self, line: dict[str, Any]) -> str:
        """Keep an answer as the replay node writes it; returns it in words."""
        best = self.best(line)
        line['right'] = self._right(line['image'], best)
        self.lines.append(line)
        mark = {True: '[green]right[/]', False: '[red]wrong[/]', None: '     '}[line['right']]
        count = f'{len(self.lines):4}/{self.num_images}'
        if best is None:
            return f'{count}  {escape(line["image"]):>16}  [red]no answer[/]'
        return (
            f'{count}  {escape(line["image"]):>16} -> {escape(best.name):<16} {mark}  '
            f'similarity {line["similarities"][0]:.3f}  {line["latency_ms"]:4.0f} ms'
        )

    def best(self, line: dict[str, Any]) -> Candidate | None:
        """The first keyframe of an answer."""
        ids = line.get('keyframe_ids') or [None]
        return self.keyframes.get(ids[0])

    def result(self) -> dict[str, Any]:
        """What result.json holds. An image without an answer counts as wrong."""
        answered = [line for line in self.lines if line['answered']]
        latency_ms = [line['latency_ms'] for line in answered]
        own_ms = [core_ms(line) for line in answered]
        added_ms = [latency - core for latency, core in zip(latency_ms, own_ms, strict=True)]
        num_right = sum(line['right'] is True for line in self.lines)
        known = self.frame_tolerance is not None and self.num_images > 0
        return {
            'images': self.num_images,
            'answered': len(answered),
            'dropped': self.num_images - len(answered),
            'recall_at_1': 100 * num_right / self.num_images if known else None,
            'latency_ms_p50': _percentile(latency_ms, 50),
            'latency_ms_p95': _percentile(latency_ms, 95),
            'core_ms_p50': _percentile(own_ms, 50),
            'ros_ms_p50': _percentile(added_ms, 50),
        }

    def in_words(self) -> str:
        """The result in a line or two."""
        result = self.result()
        recall = result['recall_at_1']
        found = '' if recall is None else f', {recall:.1f} % right (recall at 1)'
        if result['latency_ms_p50'] is None:
            return f'0 of {result["images"]} images answered{found}'
        return (
            f'{result["answered"]} of {result["images"]} images answered{found}; '
            f'{result["latency_ms_p50"]:.0f} ms from image to result (median), of which '
            f'{result["ros_ms_p50"]:.1f} ms are ROS'
        )

    def _right(self, image: str, best: Candidate | None) -> bool | None:
        if self.frame_tolerance is None:
            return None
        if best is None:
            return False
        return abs(frame_number(image) - frame_number(best.name)) <= self.frame_tolerance


def core_ms(line: dict[str, Any]) -> float:
    """The core's own time: all stages but the conversion of the message."""
    return sum(ms for stage, ms in line['stage_ms'].items() if stage != 'convert')


def _percentile(values: list[float], q: float) -> float | None:
    return round(float(np.percentile(values, q)), 3) if values else None

"""Whether images one after another match keyframes that lie beside each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from cerfevpr_core.config import LoopConfig
from cerfevpr_core.loop_closure.past import Past

_MISSED = 1  # images without a match, as blurred ones, that break no agreement


@dataclass(frozen=True)
class Matched:
    """An older keyframe that a newer one matches, and how many images in a row say so."""

    newer: int
    older: int
    num_images: int


class Agreement:
    """Matches of the last images; along the past either way, for a robot may drive it back."""

    def __init__(self, config: LoopConfig) -> None:
        self.config = config
        self._last: deque[list[Matched]] = deque(maxlen=1 + _MISSED)

    def update(self, newer: int, matched: Sequence[int], past: Past) -> list[int]:
        """Of each older keyframe that the newest image matches, how many images agree on it."""
        found = [Matched(newer, older, 1 + self._before(newer, older, past)) for older in matched]
        self._last.append(found)
        return [each.num_images for each in found]

    def _before(self, newer: int, older: int, past: Past) -> int:
        agreed = [
            each.num_images
            for image in self._last
            for each in image
            if _within(past.apart(each.newer, newer), 1 + _MISSED)
            and _within(past.apart(each.older, older), self.config.max_step)
        ]
        return max(agreed, default=0)


def _within(apart: int | None, limit: int) -> bool:
    return apart is not None and apart <= limit

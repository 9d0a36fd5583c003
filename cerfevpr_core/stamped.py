"""What comes beside the images, found again by the stamp of an image: poses, depth."""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import Generic, TypeVar

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from cerfevpr_core.geometry import Pose

_NS = 1_000_000_000
T = TypeVar('T')


class Recent(Generic[T]):
    """The newest items of a topic by their stamps; several threads may use it.

    Items of one stamp replace each other. One that is older than `span_s` before the newest says
    that the clock was set back: what came before it is forgotten.
    """

    def __init__(self, max_items: int, span_s: float = 10.0) -> None:
        self._max_items, self._span_ns = max_items, int(span_s * _NS)
        self._stamps_ns: list[int] = []
        self._items: list[T] = []
        self._changed = threading.Condition()

    def put(self, stamp_ns: int, item: T) -> None:
        """Take an item, in any order; the oldest gives way."""
        with self._changed:
            if self._stamps_ns and stamp_ns < self._stamps_ns[-1] - self._span_ns:
                self._stamps_ns.clear()
                self._items.clear()
            at = bisect_left(self._stamps_ns, stamp_ns)
            end = at + (self._stamps_ns[at : at + 1] == [stamp_ns])
            self._stamps_ns[at:end], self._items[at:end] = [stamp_ns], [item]
            if len(self._items) > self._max_items:
                del self._stamps_ns[0], self._items[0]
            self._changed.notify_all()

    def clear(self) -> None:
        """Forget everything."""
        with self._changed:
            self._stamps_ns.clear()
            self._items.clear()

    def around(self, stamp_ns: int, wait_s: float = 0.0) -> list[tuple[int, T]]:
        """The last item not after a stamp and the first not before it: none, one or two.

        Waits so long for one that is not before it.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: bool(self._stamps_ns) and self._stamps_ns[-1] >= stamp_ns, wait_s
            )
            at = bisect_left(self._stamps_ns, stamp_ns)
            first = at if self._stamps_ns[at : at + 1] == [stamp_ns] else max(at - 1, 0)
            return list(zip(self._stamps_ns, self._items, strict=True))[first : at + 1]

    def nearest(self, stamp_ns: int, max_gap_s: float, wait_s: float = 0.0) -> T | None:
        """The item nearest to a stamp, if it is as near as that."""
        found = self.around(stamp_ns, wait_s)
        at_ns, item = min(found, key=lambda f: abs(f[0] - stamp_ns), default=(0, None))
        return item if abs(at_ns - stamp_ns) <= max_gap_s * _NS else None


def pose_at(
    poses: Recent[Pose], stamp_ns: int, max_gap_s: float, max_single_s: float, wait_s: float = 0.0
) -> Pose | None:
    """The pose at a stamp, interpolated between two that are at most `max_gap_s` apart.

    Where there are no two, one that is at most `max_single_s` away; else None.
    """
    found = poses.around(stamp_ns, wait_s)
    if len(found) == 2 and found[1][0] - found[0][0] <= max_gap_s * _NS:
        (before_ns, before), (after_ns, after) = found
        return between(before, after, (stamp_ns - before_ns) / (after_ns - before_ns))
    nearest = min(found, key=lambda f: abs(f[0] - stamp_ns), default=None)
    if nearest is None or abs(nearest[0] - stamp_ns) > max_single_s * _NS:
        return None
    return nearest[1]


def between(pose0: Pose, pose1: Pose, share: float) -> Pose:
    """The pose at a share, 0 to 1, of the way from one to another."""
    x, y, z = (1 - share) * np.array(pose0.position_m) + share * np.array(pose1.position_m)
    rotations = Rotation.from_quat([pose0.quaternion, pose1.quaternion])
    qx, qy, qz, qw = Slerp([0.0, 1.0], rotations)(share).as_quat()
    return Pose((float(x), float(y), float(z)), (float(qx), float(qy), float(qz), float(qw)))

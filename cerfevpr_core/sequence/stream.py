"""The images of one camera in order: what is believed after them, and how it moved in between."""

from __future__ import annotations

from cerfevpr_core.geometry import Pose
from cerfevpr_core.sequence.follow import SequenceFilter
from cerfevpr_core.sequence.motion import Motion

_NS = 1_000_000_000
_BACK_S = 1.0  # images of one camera overtake each other by less
_SILENT_S = 60.0  # after which a robot may be anywhere


class ImageStream:
    """A belief with the stamp and pose of its last image; without a belief it does nothing."""

    def __init__(self, belief: SequenceFilter | None) -> None:
        self.belief = belief
        self._last: tuple[int, Pose | None] | None = None

    def motion_to(self, stamp_ns: int, pose: Pose | None) -> Motion | None:
        """Since the last image, by poses of the camera in any fixed frame; None where not known.

        A clock that was set back (a recording that begins again) and a long silence forget what
        was believed. Stamps of 0 tell nothing.
        """
        last, self._last = self._last, (stamp_ns, pose)
        if self.belief is None or last is None:
            return None
        since_s = (stamp_ns - last[0]) / _NS
        if stamp_ns and last[0] and not -_BACK_S <= since_s <= _SILENT_S:
            self.belief.forget()
            return None
        if pose is None or last[1] is None:
            return None
        return Motion.between(last[1], pose)

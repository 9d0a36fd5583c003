"""Whether consecutive verified poses tell the same story."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from cerfevpr_core.geometry import Pose
from cerfevpr_core.pose_bridge.options import BridgeOptions
from cerfevpr_core.uncertain_pose import UncertainPose, apart, inverse

_NS = 1_000_000_000


@dataclass(frozen=True)
class Sighting:
    """The robot's base in the map by one verified image, and in odometry then, if it is known."""

    stamp_ns: int
    base: UncertainPose
    odom: Pose | None = None


class Sightings:
    """The newest sightings that agree with each other; one that does not starts anew."""

    def __init__(self, options: BridgeOptions) -> None:
        self._options = options
        self._agreeing: deque[Sighting] = deque(maxlen=options.num_agreeing)

    def add(self, sighting: Sighting) -> bool:
        """Take one; of images that come in the wrong order the older is left out: False."""
        newest, window_ns = self.newest, int(self._options.agree_within_s * _NS)
        if newest is not None and sighting.stamp_ns <= newest.stamp_ns:
            if newest.stamp_ns - sighting.stamp_ns <= window_ns:
                return False
            self._agreeing.clear()  # the clock was set back
        kept = [s for s in self._agreeing if sighting.stamp_ns - s.stamp_ns <= window_ns]
        agree = all(self._agree(earlier, sighting) for earlier in kept)
        self._agreeing.clear()
        self._agreeing.extend([*kept, sighting] if agree else [sighting])
        return True

    def clear(self) -> None:
        """Forget all of them."""
        self._agreeing.clear()

    @property
    def newest(self) -> Sighting | None:
        """The last one taken."""
        return self._agreeing[-1] if self._agreeing else None

    @property
    def count(self) -> int:
        """How many agree, `num_agreeing` at most."""
        return len(self._agreeing)

    @property
    def confirmed(self) -> bool:
        """Whether enough of them agree."""
        return self.count >= self._options.num_agreeing

    def _agree(self, earlier: Sighting, later: Sighting) -> bool:
        away_m, turned_deg = apart(moved(earlier, later.odom), later.base.pose)
        slack_m, slack_deg = slack(self._options, earlier, later.stamp_ns, later.odom)
        return (
            away_m <= self._options.agree_m + slack_m
            and turned_deg <= self._options.agree_deg + slack_deg
        )


def moved(earlier: Sighting, odom: Pose | None) -> Pose:
    """Where the base was seen, carried on by odometry if that is known for both."""
    if earlier.odom is None or odom is None:
        return earlier.base.pose
    return earlier.base.pose @ (inverse(earlier.odom) @ odom)


def slack(
    options: BridgeOptions, earlier: Sighting, stamp_ns: int, odom: Pose | None
) -> tuple[float, float]:
    """Metres and degrees that the robot may have gone meanwhile without being seen to."""
    if earlier.odom is not None and odom is not None:
        return 0.0, 0.0
    seconds = abs(stamp_ns - earlier.stamp_ns) / _NS
    return options.max_speed_m_s * seconds, options.max_turn_deg_s * seconds

"""Where odometry's frame lies in the map, by verified poses: no jump by a single image."""

from __future__ import annotations

from cerfevpr_core.geometry import Pose
from cerfevpr_core.pose_bridge.options import BridgeOptions
from cerfevpr_core.pose_bridge.sightings import Sighting
from cerfevpr_core.stamped import between
from cerfevpr_core.uncertain_pose import apart, inverse


class MapToOdom:
    """`transform` is odom in map; None until verified poses agree for the first time."""

    def __init__(self, options: BridgeOptions) -> None:
        self._options = options
        self.transform: Pose | None = None

    def update(self, seen: Sighting, confirmed: bool) -> bool:
        """Take one sighting; whether it counted.

        Near what is known, it draws the transform a share of the way. From further away only
        poses that agree with each other move it, and then all the way at once.
        """
        if seen.odom is None:
            return False
        target = seen.base.pose @ inverse(seen.odom)
        if self.transform is not None and self._near(seen, self.transform):
            self.transform = between(self.transform, target, self._options.smoothing)
            return True
        if not confirmed:
            return False
        self.transform = target
        return True

    def _near(self, seen: Sighting, transform: Pose) -> bool:
        # At the robot: a small turn of the map is a large shift of an origin far away.
        assert seen.odom is not None
        away_m, turned_deg = apart(transform @ seen.odom, seen.base.pose)
        return away_m <= self._options.agree_m and turned_deg <= self._options.agree_deg

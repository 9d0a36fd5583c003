"""Verified poses of the camera in, one initial pose of the robot out: when, and which."""

from __future__ import annotations

from cerfevpr_core.errors import CerfeVPRError
from cerfevpr_core.geometry import Pose
from cerfevpr_core.pose_bridge.lost import Localization, LostWatch
from cerfevpr_core.pose_bridge.map_to_odom import MapToOdom
from cerfevpr_core.pose_bridge.options import BridgeOptions
from cerfevpr_core.pose_bridge.sightings import Sighting, Sightings
from cerfevpr_core.uncertain_pose import UncertainPose, inverse, tilt_deg

_NS = 1_000_000_000


class PoseBridge:
    """Stamps and times are of one clock, in nanoseconds."""

    def __init__(self, options: BridgeOptions, camera_in_base: Pose, start_ns: int) -> None:
        self.options = options
        self.sightings = Sightings(options)
        self.map_to_odom = MapToOdom(options)
        self._base_in_camera = inverse(camera_in_base)
        self._watch = LostWatch(options, start_ns)
        self._sent_ns: int | None = None
        self._sent_stamp_ns: int | None = None

    def see(self, stamp_ns: int, camera: UncertainPose, odom: Pose | None, now_ns: int) -> str:
        """Take a verified pose; why the robot is lost, '' if it is not.

        Raises CerfeVPRError for a pose without a sound covariance, and for one at which the
        base would not stand upright.
        """
        base = camera.checked().of(self._base_in_camera)
        tilt = tilt_deg(base.pose)
        if tilt > self.options.max_tilt_deg:
            raise CerfeVPRError(
                f'the base would be tilted by {tilt:.0f} degrees, expected at most '
                f'{self.options.max_tilt_deg:g}; camera_in_base must be that of the optical frame '
                '(x right, y down, z forward), and the map must have z up'
            )
        base = base.widened(self.options.extra_std_m, self.options.extra_std_deg)
        seen = Sighting(stamp_ns, base.on_the_ground() if self.options.planar else base, odom)
        if not self.sightings.add(seen):
            return ''  # an older image's, behind a newer one's
        self.map_to_odom.update(seen, self.sightings.confirmed)
        return self._watch.see(seen, now_ns)

    def localized(self, localization: Localization) -> None:
        """What the robot's own localization says."""
        self._watch.localization = localization

    def refusal(self, now_ns: int) -> str:
        """Why no pose may be sent now; '' if one may."""
        seen, options = self.sightings.newest, self.options
        if seen is None:
            return 'there is no verified pose yet'
        if not self.sightings.confirmed:
            return f'{self.sightings.count} of {options.num_agreeing} verified poses agree'
        age_s = (now_ns - seen.stamp_ns) / _NS
        if abs(age_s) > options.max_age_s:
            return (
                f'the newest verified pose is {age_s:.1f} s old, more than {options.max_age_s:g} s'
            )
        if seen.stamp_ns == self._sent_stamp_ns:
            return 'the newest verified pose was sent already'
        if self._sent_ns is not None and 0 <= now_ns - self._sent_ns < self._interval_ns:
            return f'the last pose was sent less than {options.min_interval_s:g} s ago'
        return ''

    def take(self, now_ns: int) -> Sighting:
        """The pose to send, which counts as sent. Raises CerfeVPRError if none may be."""
        if reason := self.refusal(now_ns):
            raise CerfeVPRError(reason)
        seen = self.sightings.newest
        assert seen is not None
        self._sent_ns, self._sent_stamp_ns = now_ns, seen.stamp_ns
        self._watch.clear()
        return seen

    @property
    def _interval_ns(self) -> int:
        return int(self.options.min_interval_s * _NS)

"""Whether a robot's own localization has lost its place, by what verified images say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.pose_bridge.options import BridgeOptions
from cerfevpr_core.pose_bridge.sightings import Sighting, moved, slack
from cerfevpr_core.uncertain_pose import yaw_of

_NS = 1_000_000_000

# What AMCL or slam_toolbox says: the base in the map; certain are x, y and yaw alone.
Localization = Sighting


def why_uncertain(localization: Localization, options: BridgeOptions) -> str:
    """What is wrong with a localization by its own covariance; '' if nothing is."""
    std_m = _worst_std_m(localization.base.in_plane())
    if std_m <= options.max_localization_std_m:
        return ''
    limit_m = options.max_localization_std_m
    return f'the localization has a standard deviation of {std_m:.2f} m, more than {limit_m:g} m'


def why_apart(seen: Sighting, localization: Localization, options: BridgeOptions) -> str:
    """How a verified pose contradicts a localization, in the plane; '' if it does not.

    A localization without odometry that is old says nothing of now, and contradicts nothing.
    """
    slack_m, slack_deg = slack(options, localization, seen.stamp_ns, seen.odom)
    age_s = abs(seen.stamp_ns - localization.stamp_ns) / _NS
    if slack_m and age_s > options.max_age_s:
        return ''
    expected = moved(localization, seen.odom)
    away_m = float(np.hypot(*np.subtract(seen.base.pose.position_m, expected.position_m)[:2]))
    turn = yaw_of(seen.base.pose) - yaw_of(expected)
    turned_deg = abs(np.degrees(np.arctan2(np.sin(turn), np.cos(turn))))
    both = seen.base.in_plane() + localization.base.in_plane()
    std_m = _worst_std_m(both)
    std_deg = float(np.degrees(np.sqrt(max(both[2, 2], 0.0))))
    allowed_m = options.lost_m + slack_m + options.lost_sigmas * std_m
    allowed_deg = options.lost_deg + slack_deg + options.lost_sigmas * std_deg
    if away_m <= allowed_m and turned_deg <= allowed_deg:
        return ''
    return f'the localization is {away_m:.2f} m and {turned_deg:.1f} degrees from verified poses'


class LostWatch:
    """Counts verified poses in a row by which the robot is lost: one alone says nothing."""

    def __init__(self, options: BridgeOptions, start_ns: int) -> None:
        self._options = options
        self._start_ns = start_ns
        self._count = 0
        self.localization: Localization | None = None

    def see(self, seen: Sighting, now_ns: int) -> str:
        """Why the robot is lost, by this verified pose and those before it; '' if it is not."""
        reason = self._why(seen, now_ns)
        self._count = self._count + 1 if reason else 0
        return reason if self._count >= self._options.num_agreeing else ''

    def clear(self) -> None:
        """A pose was sent: what was counted is answered."""
        self._count = 0

    def _why(self, seen: Sighting, now_ns: int) -> str:
        if self.localization is None:
            silent_s = (now_ns - self._start_ns) / _NS
            known = silent_s <= self._options.never_localized_s
            return '' if known else f'no localization pose in {silent_s:.0f} s'
        uncertain = why_uncertain(self.localization, self._options)
        return uncertain or why_apart(seen, self.localization, self._options)


def _worst_std_m(in_plane: NDArray[np.float64]) -> float:
    """Of x and y, by a covariance (3, 3); a localization's own may be no covariance at all."""
    largest = float(np.linalg.eigvalsh(in_plane[:2, :2])[-1])
    return float(np.sqrt(max(largest, 0.0)))

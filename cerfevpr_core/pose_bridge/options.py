"""What decides whether a verified pose is passed on."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from cerfevpr_core.errors import ConfigError

_LEAST = {'num_agreeing': 1}
_MOST = {'smoothing': 1, 'max_tilt_deg': 80}


@dataclass(frozen=True)
class BridgeOptions:
    """Raises ConfigError for a value out of its range."""

    num_agreeing: int = 3  # verified poses in a row that must agree
    agree_m: float = 0.5
    agree_deg: float = 5.0
    agree_within_s: float = 10.0  # between the first and the last of them
    max_speed_m_s: float = 2.0  # of the robot, where there is no odometry
    max_turn_deg_s: float = 90.0
    max_age_s: float = 2.0  # of the image whose pose is sent
    min_interval_s: float = 5.0  # between two that are sent
    max_tilt_deg: float = 30.0  # of the base from upright
    planar: bool = True  # z, roll and pitch of what is sent are 0
    extra_std_m: float = 0.1  # added to the covariance: errors of the map, of the stamp
    extra_std_deg: float = 2.0
    lost_m: float = 1.0  # beyond their covariances, from the localization to a verified pose
    lost_deg: float = 20.0
    lost_sigmas: float = 3.0
    max_localization_std_m: float = 2.0  # a localization less certain than this is lost
    never_localized_s: float = 5.0  # without any localization pose the robot is lost
    smoothing: float = 0.2  # share of the way that map->odom goes with each verified pose

    def __post_init__(self) -> None:
        for field in fields(self):
            value, least = getattr(self, field.name), _LEAST.get(field.name, 0)
            most = _MOST.get(field.name, math.inf)
            if not least <= value <= most:
                expected = f'{least} or more' + (f', {most} at most' if most < math.inf else '')
                raise ConfigError(f'wrong setting {field.name} = {value}: expected {expected}')

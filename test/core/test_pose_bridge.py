"""When a verified pose is passed on, and which."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cerfevpr_core.errors import CerfeVPRError, ConfigError
from cerfevpr_core.geometry import Pose
from cerfevpr_core.pose_bridge import BridgeOptions, Localization, PoseBridge
from cerfevpr_core.uncertain_pose import UncertainPose, apart, inverse, yaw_of

S = 1_000_000_000
START = 1_700_000_000 * S
CAMERA_IN_BASE = Pose((0.3, 0.1, 1.0), (-0.5, 0.5, -0.5, 0.5))  # looks straight ahead
COVARIANCE = np.diag([0.01, 0.01, 0.01, 0.001, 0.001, 0.001])


def base(x: float, y: float, yaw_deg: float = 0.0) -> Pose:
    quaternion = Rotation.from_euler('z', yaw_deg, degrees=True).as_quat()
    return Pose((x, y, 0.0), tuple(map(float, quaternion)))


def camera_at(where: Pose) -> UncertainPose:
    return UncertainPose(where @ CAMERA_IN_BASE, COVARIANCE)


class Drive:
    """A bridge that sees poses, one each second."""

    def __init__(self, **options) -> None:
        self.bridge = PoseBridge(BridgeOptions(**options), CAMERA_IN_BASE, START)
        self.now = START

    def see(self, where: Pose, odom: Pose | None = None, after_s: float = 1.0) -> str:
        self.now += int(after_s * S)
        return self.bridge.see(self.now, camera_at(where), odom, self.now)

    @property
    def refusal(self) -> str:
        return self.bridge.refusal(self.now)


def test_without_a_verified_pose_none_may_be_sent():
    drive = Drive()
    assert drive.refusal == 'there is no verified pose yet'
    with pytest.raises(CerfeVPRError, match='no verified pose'):
        drive.bridge.take(START)


def test_it_waits_for_poses_that_agree_and_gives_the_newest_of_the_base():
    drive = Drive()
    for x in (0, 1):
        drive.see(base(x, 5, 30))
        assert 'of 3 verified poses agree' in drive.refusal
    drive.see(base(2, 5, 30))
    assert drive.refusal == ''
    sent = drive.bridge.take(drive.now)
    assert sent.stamp_ns == drive.now
    assert apart(sent.base.pose, base(2, 5, 30)) == pytest.approx((0, 0), abs=1e-4)


def test_a_pose_elsewhere_starts_the_count_anew():
    drive = Drive()
    drive.see(base(0, 0))
    drive.see(base(1, 0))
    drive.see(base(40, 0))
    assert '1 of 3' in drive.refusal
    drive.see(base(41, 0))
    drive.see(base(42, 0))
    assert drive.refusal == ''


def test_with_odometry_poses_agree_if_they_moved_as_the_wheels_did():
    # Odometry's own frame is turned and elsewhere: only motion counts.
    odom_in_map = base(-7, 3, 120)
    fast = Drive()
    for x in (0, 20, 40):  # faster than max_speed_m_s, but the wheels say so
        fast.see(base(x, 0), inverse(odom_in_map) @ base(x, 0))
    assert fast.refusal == ''
    slipped = Drive()
    for x in (0, 1, 2):  # the wheels stand still
        slipped.see(base(x, 0), inverse(odom_in_map) @ base(0, 0))
    assert '1 of 3' in slipped.refusal


def test_poses_too_far_apart_in_time_do_not_add_up():
    drive = Drive(agree_within_s=5)
    drive.see(base(0, 0))
    drive.see(base(0, 0))
    drive.see(base(0, 0), after_s=6)
    assert '1 of 3' in drive.refusal


def test_an_old_pose_is_not_sent_nor_one_of_another_clock():
    drive = Drive()
    for _ in range(3):
        drive.see(base(0, 0))
    assert '2.5 s old' in drive.bridge.refusal(drive.now + 5 * S // 2)
    assert 's old' in drive.bridge.refusal(drive.now - 3 * S)


def test_a_pose_is_sent_once_and_none_right_after_it():
    drive = Drive()
    for _ in range(3):
        drive.see(base(0, 0))
    drive.bridge.take(drive.now)
    assert 'sent already' in drive.refusal
    drive.see(base(0, 0))
    assert 'less than 5 s ago' in drive.refusal
    for _ in range(5):
        drive.see(base(0, 0))
    assert drive.refusal == ''


def test_an_image_that_comes_late_is_left_out_and_a_clock_set_back_starts_anew():
    drive = Drive()
    for x in (0, 1, 2):
        drive.see(base(x, 0))
    drive.bridge.see(drive.now - S, camera_at(base(50, 0)), None, drive.now)
    assert drive.refusal == ''
    drive.now -= 100 * S
    drive.see(base(0, 0), after_s=0)
    assert '1 of 3' in drive.refusal


def test_a_camera_that_is_not_mounted_like_that_is_told():
    bridge = PoseBridge(BridgeOptions(), Pose((0, 0, 1), (0, 0, 0, 1)), START)
    with pytest.raises(CerfeVPRError, match=r'tilted by 90 degrees.*optical frame'):
        bridge.see(START, camera_at(base(0, 0)), None, START)


def test_a_pose_without_a_covariance_counts_for_nothing():
    drive = Drive()
    unknown = UncertainPose(camera_at(base(0, 0)).pose, np.zeros((6, 6)))
    with pytest.raises(CerfeVPRError, match='covariance'):
        drive.bridge.see(START, unknown, None, START)
    assert drive.refusal == 'there is no verified pose yet'


def test_what_is_sent_lies_in_the_plane_and_is_less_certain_than_the_camera():
    drive = Drive(num_agreeing=1)
    lifted = Pose((1, 2, 0.4), tuple(Rotation.from_euler('ZY', (50, 5), True).as_quat()))
    drive.see(lifted)
    sent = drive.bridge.take(drive.now).base
    assert sent.pose.position_m == pytest.approx((1, 2, 0))
    assert np.degrees(yaw_of(sent.pose)) == pytest.approx(50)
    assert not sent.covariance[2:5].any()
    assert np.linalg.eigvalsh(sent.in_plane()).min() > 0.001  # also of the lever to the camera
    assert sent.in_plane()[0, 0] > 0.01 + 0.1**2


def test_what_is_sent_keeps_all_six_where_the_robot_flies():
    drive = Drive(num_agreeing=1, planar=False)
    drive.see(Pose((1, 2, 3), (0, 0, 0, 1)))
    sent = drive.bridge.take(drive.now).base
    assert sent.pose.position_m == pytest.approx((1, 2, 3))
    assert np.linalg.eigvalsh(sent.covariance).min() > 0


def localization(drive: Drive, where: Pose, std_m: float = 0.1, odom: Pose | None = None):
    covariance = np.zeros((6, 6))  # as AMCL fills it in
    covariance[0, 0] = covariance[1, 1] = std_m**2
    covariance[5, 5] = 0.01
    drive.bridge.localized(Localization(drive.now, UncertainPose(where, covariance), odom))


def test_a_robot_that_knows_its_place_is_not_lost():
    drive = Drive()
    for x in range(10):
        localization(drive, base(x + 0.3, 0.2, 5))
        assert drive.see(base(x + 1, 0)) == ''


def test_a_localization_whose_covariance_is_none_makes_no_robot_lost():
    drive = Drive()
    for _ in range(4):
        where = UncertainPose(base(0, 0), -np.eye(6))  # as of a filter that went wrong
        drive.bridge.localized(Localization(drive.now, where, None))
        assert drive.see(base(0, 0)) == ''


def test_a_robot_is_lost_when_several_poses_contradict_its_localization():
    drive = Drive()
    told = []
    for x in range(4):
        localization(drive, base(x, 30))
        told.append(drive.see(base(x, 0)))
    assert told[:2] == ['', '']
    assert 'the localization is 30.' in told[2]
    turned = Drive()
    for _ in range(3):
        localization(turned, base(0, 0, 180))
        told.append(turned.see(base(0, 0), after_s=0.2))
    assert '180.0 degrees' in told[-1]


def test_a_localization_says_itself_that_it_is_lost():
    drive = Drive()
    for _ in range(3):
        localization(drive, base(0, 0), std_m=3)
        told = drive.see(base(0, 0))
    assert 'standard deviation of 3.00 m' in told


def test_a_robot_that_never_was_localized_is_lost_after_a_while():
    drive = Drive()
    told = [drive.see(base(0, 0)) for _ in range(9)]
    assert told[:7] == [''] * 7  # five seconds of grace, then three in a row
    assert told[7] == 'no localization pose in 8 s'


def test_an_old_localization_is_carried_on_by_odometry_and_counts_for_nothing_without():
    carried, alone = Drive(), Drive()
    localization(carried, base(0, 0), odom=base(5, 5))
    localization(alone, base(0, 0))
    for x in range(20, 24):  # AMCL tells nothing while it has no scan
        assert carried.see(base(x, 0), base(5 + x, 5), after_s=10) == ''
        assert alone.see(base(x, 0), after_s=10) == ''
    for _ in range(3):
        told = carried.see(base(60, 0), base(5 + 23, 5), after_s=1)
    assert 'the localization is 37.00 m' in told


def test_the_map_moves_against_odometry_without_jumps():
    drive, odom_in_map = Drive(smoothing=0.5), base(-7, 3, 120)
    transform = lambda: drive.bridge.map_to_odom.transform  # noqa: E731
    for x in (0, 1, 2):
        assert transform() is None
        drive.see(base(x, 0), inverse(odom_in_map) @ base(x, 0))
    assert apart(transform(), odom_in_map) == pytest.approx((0, 0), abs=1e-4)
    drive.see(base(3, 0.4), inverse(odom_in_map) @ base(3, 0))
    assert apart(transform(), odom_in_map)[0] == pytest.approx(0.2)
    before = transform()
    for number in range(2):  # elsewhere: one or two images move nothing
        drive.see(base(30, number), inverse(odom_in_map) @ base(4, number))
        assert transform() == before
    drive.see(base(30, 2), inverse(odom_in_map) @ base(4, 2))
    assert apart(transform() @ (inverse(odom_in_map) @ base(4, 2)), base(30, 2))[0] < 1e-6


def test_without_odometry_the_map_has_no_place_in_it():
    drive = Drive()
    for x in (0, 1, 2):
        drive.see(base(x, 0))
    assert drive.bridge.map_to_odom.transform is None


@pytest.mark.parametrize(
    ('option', 'value'),
    [('num_agreeing', 0), ('agree_m', -1), ('smoothing', 1.5), ('max_age_s', float('nan'))],
)
def test_an_option_out_of_its_range_is_refused(option, value):
    with pytest.raises(ConfigError, match=f'wrong setting {option}'):
        BridgeOptions(**{option: value})


def test_every_option_is_on_the_page_with_its_default():
    page = (Path(__file__).parents[2] / 'docs' / 'hooks' / 'nav2.md').read_text()
    told = {}
    for names, values in re.findall(r'^\| ((?:`\w+`(?:, )?)+) \| ([^|]+) \|', page, re.MULTILINE):
        told |= dict(zip(names.split(', '), values.strip().split(', '), strict=False))
    for name, default in asdict(BridgeOptions()).items():
        expected = f'`{str(default).lower()}`' if isinstance(default, bool) else str(default)
        assert told[f'`{name}`'] == expected

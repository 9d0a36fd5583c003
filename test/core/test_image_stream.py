"""Images of one camera in order: the motion in between, and when what was believed is void."""

from __future__ import annotations

import pytest

from cerfevpr_core.geometry import Pose
from cerfevpr_core.sequence import ImageStream

S = 1_000_000_000


class Forgetful:
    """Stands for a belief that counts how often it was told to begin again."""

    def __init__(self) -> None:
        self.times = 0

    def forget(self) -> None:
        self.times += 1


def at(z_m: float) -> Pose:
    return Pose((0.0, 0.0, z_m), (0.0, 0.0, 0.0, 1.0))


@pytest.fixture
def stream():
    return ImageStream(Forgetful())


def test_motion_is_that_since_the_last_image(stream):
    assert stream.motion_to(10 * S, at(1.0)) is None
    motion = stream.motion_to(11 * S, at(3.5))
    assert motion is not None
    assert motion.relative.position_m == pytest.approx((0.0, 0.0, 2.5))
    assert stream.belief.times == 0


def test_motion_is_unknown_where_either_pose_is(stream):
    stream.motion_to(10 * S, at(1.0))
    assert stream.motion_to(11 * S, None) is None
    assert stream.motion_to(12 * S, at(2.0)) is None
    assert stream.motion_to(13 * S, at(3.0)) is not None


@pytest.mark.parametrize('later_s', [-5.0, 61.0])
def test_a_clock_set_back_and_a_long_silence_forget_what_was_believed(stream, later_s):
    stream.motion_to(100 * S, at(1.0))
    assert stream.motion_to(int((100 + later_s) * S), at(2.0)) is None
    assert stream.belief.times == 1
    assert stream.motion_to(int((100.5 + later_s) * S), at(3.0)) is not None


@pytest.mark.parametrize('later_s', [-0.2, 0.0, 59.0])
def test_images_that_overtake_each_other_or_come_late_do_not(stream, later_s):
    stream.motion_to(100 * S, None)
    stream.motion_to(int((100 + later_s) * S), None)
    assert stream.belief.times == 0


def test_images_without_stamps_keep_what_was_believed(stream):
    for stamp_ns in (100 * S, 0, 0, 100 * S):
        stream.motion_to(stamp_ns, None)
    assert stream.belief.times == 0


def test_without_a_belief_there_is_no_motion():
    stream = ImageStream(None)
    assert stream.motion_to(10 * S, at(1.0)) is None
    assert stream.motion_to(1 * S, at(2.0)) is None

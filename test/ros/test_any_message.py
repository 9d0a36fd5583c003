"""Whatever a message holds, its converter gives what it promises or says what is wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

pytest.importorskip('sensor_msgs', reason='needs the ROS 2 messages (sensor_msgs)')

from geometry_msgs.msg import Point, Quaternion
from geometry_msgs.msg import Pose as PoseMsg
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from cerfevpr_core.errors import CerfeVPRError, ImageError
from cerfevpr_core.pixel_formats.raw import supported_encodings
from cerfevpr_ros.conversions import (
    camera_from_msg,
    depth_from_msg,
    image_from_compressed_msg,
    image_from_msg,
    image_to_msg,
    ns_to_stamp,
    pose_from_msg,
    pose_to_msg,
    stamp_to_ns,
)

pytestmark = pytest.mark.ros

MANY = settings(max_examples=200, deadline=None)
UINT32 = st.one_of(st.integers(0, 30), st.integers(0, 2**32 - 1))
ENCODINGS = st.one_of(st.sampled_from([*supported_encodings(), '16UC1', '32FC1']), st.text())
ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True)
FINITE = st.floats(-1e6, 1e6)


@st.composite
def images(draw) -> Image:
    """Sizes, step, encoding and bytes that need not fit each other."""
    return Image(
        height=draw(UINT32),
        width=draw(UINT32),
        encoding=draw(ENCODINGS),
        is_bigendian=draw(st.integers(0, 255)),
        step=draw(UINT32),
        data=draw(st.binary(max_size=4000)),
    )


@MANY
@given(images())
def test_any_image_gives_pixels_of_its_size_or_an_image_error(msg):
    for convert, shape in (
        (image_from_msg, (msg.height, msg.width, 3)),
        (depth_from_msg, (msg.height, msg.width)),
    ):
        try:
            assert convert(msg).shape == shape
        except ImageError as error:
            assert str(error)


@MANY
@given(
    st.sampled_from(['rgb8', 'bgr8']),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.integers(0, 2**32 - 1),
    st.integers(0, 20),
)
def test_an_image_survives_its_message_with_any_padding(encoding, size, seed, padding):
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    msg = image_to_msg(image, Header(), encoding)
    rows = np.frombuffer(msg.data, np.uint8).reshape(size[0], -1)
    msg.data = np.pad(rows, ((0, 0), (0, padding)), constant_values=165).tobytes()
    msg.step += padding
    np.testing.assert_array_equal(image_from_msg(msg), image)


@MANY
@given(st.text(max_size=60), st.binary(max_size=500))
def test_any_compressed_image_is_refused_in_words_unless_it_is_one(format, data):
    with pytest.raises(ImageError):
        image_from_compressed_msg(CompressedImage(format=format, data=data))


@MANY
@given(st.tuples(*[ANY_FLOAT] * 3), st.tuples(*[ANY_FLOAT] * 4))
def test_any_pose_is_finite_and_of_unit_length_or_refused(position, quaternion):
    x, y, z = position
    qx, qy, qz, qw = quaternion
    msg = PoseMsg(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))
    try:
        pose = pose_from_msg(msg)
    except CerfeVPRError as error:
        assert str(error)
    else:
        assert np.isfinite(pose.position_m).all()
        assert math.isclose(math.hypot(*pose.quaternion), 1, rel_tol=1e-9)


@MANY
@given(st.tuples(*[FINITE] * 3), st.tuples(*[st.floats(-1, 1)] * 4))
def test_a_pose_survives_its_message(position, quaternion):
    length = math.hypot(*quaternion)
    assume(length > 0.1)
    x, y, z = position
    qx, qy, qz, qw = (q / length for q in quaternion)
    msg = PoseMsg(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))
    again = pose_to_msg(pose_from_msg(msg))
    found, expected = again.orientation, msg.orientation
    assert again.position == msg.position
    np.testing.assert_allclose(
        (found.x, found.y, found.z, found.w), (expected.x, expected.y, expected.z, expected.w)
    )


@MANY
@given(
    st.lists(ANY_FLOAT, min_size=9, max_size=9),
    st.lists(ANY_FLOAT, max_size=14),
    st.sampled_from(['plumb_bob', 'equidistant', '']),
    st.tuples(UINT32, UINT32, UINT32, UINT32, UINT32),
    st.booleans(),
)
def test_any_calibration_gives_a_camera_with_focal_lengths_or_is_refused(
    k, d, model, sizes, rectified
):
    width, height, binning, offset, part = sizes
    roi = RegionOfInterest(x_offset=offset, y_offset=offset, width=part, height=part)
    msg = CameraInfo(
        width=width, height=height, k=k, p=[*k, 0.0, 0.0, 0.0], d=d, distortion_model=model
    )
    msg.binning_x = msg.binning_y = binning
    msg.roi = roi
    try:
        camera = camera_from_msg(msg, rectified)
    except CerfeVPRError as error:
        assert str(error)
    else:
        assert camera.fx > 0 and camera.fy > 0


@given(st.integers(-(2**31) * 10**9, 2**31 * 10**9 - 1))
def test_any_stamp_keeps_every_nanosecond(stamp_ns):
    assert stamp_to_ns(ns_to_stamp(stamp_ns)) == stamp_ns

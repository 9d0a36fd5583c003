"""Messages in and out, with our converters and with stand-ins for cv_bridge."""

from __future__ import annotations

import io
import logging
import math
import sys
import time
from array import array

import numpy as np
import pytest
from PIL import Image as PilImage

pytest.importorskip('sensor_msgs', reason='needs the ROS 2 messages (sensor_msgs)')

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Quaternion
from geometry_msgs.msg import Pose as PoseMsg
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from cerfevpr_core.errors import CerfeVPRError, ImageError
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.pixel_formats import decode_compressed
from cerfevpr_ros import bridge
from cerfevpr_ros.conversions import (
    camera_from_msg,
    camera_to_msg,
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
IMAGE = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
K = [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0]

# Not cv_bridge, which is not on PyPI in a form that runs: modules that stand in for it, one that
# converts as it does, one that swaps colours, one that kills its process, one that fails to load.
STAND_INS = {
    'right': """
import numpy as np
class CvBridge:
    calls = 0
    def imgmsg_to_cv2(self, msg, desired_encoding):
        CvBridge.calls += 1
        pixels = np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.width, -1)
        if msg.encoding == 'mono8':
            return pixels.repeat(3, axis=2)
        return pixels[..., [2, 1, 0] if msg.encoding.startswith('bgr') else [0, 1, 2]].copy()
""",
    'swaps': """
import numpy as np
class CvBridge:
    def imgmsg_to_cv2(self, msg, desired_encoding):
        return np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.width, -1)[..., ::-1]
""",
    'crashes': """
import os, signal
class CvBridge:
    def imgmsg_to_cv2(self, msg, desired_encoding):
        os.kill(os.getpid(), signal.SIGSEGV)
""",
    'fails': "raise ImportError('numpy.core.multiarray failed to import')",
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a stand-in where `import cv_bridge` finds it, or (empty) nothing at all."""

    def put(source: str) -> None:
        if source:
            (tmp_path / 'cv_bridge.py').write_text(source)
            monkeypatch.syspath_prepend(tmp_path)
        else:
            monkeypatch.setattr(bridge.importlib.util, 'find_spec', lambda name: None)
        bridge.cv_bridge.cache_clear()

    yield put
    bridge.cv_bridge.cache_clear()
    sys.modules.pop('cv_bridge', None)


@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8'])
def test_an_image_survives_the_way_out_and_in(encoding):
    header = Header(frame_id='camera', stamp=Time(sec=3, nanosec=4))
    msg = image_to_msg(IMAGE, header, encoding)
    assert (msg.height, msg.width, msg.step, msg.encoding) == (5, 7, 21, encoding)
    assert msg.header == header
    assert isinstance(msg.data, array)
    np.testing.assert_array_equal(image_from_msg(msg), IMAGE)


def test_padding_and_byte_order_of_a_message_are_honoured():
    samples = (np.arange(6).reshape(2, 3) << 8).astype('>u2')
    data = b''.join(row.tobytes() + b'\xff\xff' for row in samples)
    fields = {'height': 2, 'width': 3, 'step': 8, 'data': data}
    msg = Image(encoding='mono16', is_bigendian=1, **fields)
    np.testing.assert_array_equal(image_from_msg(msg)[..., 1], [[0, 1, 2], [3, 4, 5]])
    msg = Image(encoding='16UC1', is_bigendian=1, **fields)
    np.testing.assert_allclose(depth_from_msg(msg)[1], [0.768, 1.024, 1.28])


def test_a_wrong_image_message_is_refused_by_its_numbers():
    msg = image_to_msg(IMAGE, Header())
    msg.data = msg.data[:100]
    with pytest.raises(ImageError, match=r'7 x 5 pixels: found 100 bytes, expected 105'):
        image_from_msg(msg)
    with pytest.raises(ImageError, match=r"unknown image encoding ''"):
        image_from_msg(Image(height=2, width=2))
    with pytest.raises(ImageError, match=r'is 0 x 0 pixels'):
        image_from_msg(Image())


def test_a_compressed_message_is_decoded_and_a_cut_one_refused():
    file = io.BytesIO()
    PilImage.fromarray(IMAGE).save(file, format='JPEG')
    msg = CompressedImage(format='jpeg', data=file.getvalue())
    np.testing.assert_array_equal(
        image_from_compressed_msg(msg), decode_compressed(file.getvalue())
    )
    msg.data = msg.data[:-30]
    with pytest.raises(ImageError, match=r'is cut short or damaged'):
        image_from_compressed_msg(msg)


def test_a_vga_image_becomes_a_message_in_milliseconds():
    image, header = np.zeros((480, 640, 3), np.uint8), Header()
    times_s = []
    for _ in range(10):
        start = time.perf_counter()
        image_to_msg(image, header)
        times_s.append(time.perf_counter() - start)
    assert min(times_s) < 5e-3


def test_a_pose_survives_the_way_out_and_in():
    pose = Pose((1, -2.0, 3.5), (0.5, -0.5, 0.5, 0.5))
    assert pose_from_msg(pose_to_msg(pose)) == pose


def test_a_pose_of_few_digits_becomes_unit_length():
    quaternion = pose_from_msg(PoseMsg(orientation=Quaternion(x=0.7071, w=0.7071))).quaternion
    np.testing.assert_allclose(np.linalg.norm(quaternion), 1, atol=1e-12)


@pytest.mark.parametrize(
    'msg',
    [
        PoseMsg(orientation=Quaternion(w=0.0)),
        PoseMsg(orientation=Quaternion(x=1.0, w=1.0)),
        PoseMsg(orientation=Quaternion(w=float('nan'))),
        PoseMsg(position=Point(x=float('inf'))),
    ],
)
def test_a_pose_that_was_never_filled_in_is_refused(msg):
    with pytest.raises(CerfeVPRError, match=r'expected finite numbers and a quaternion of length'):
        pose_from_msg(msg)


def test_a_camera_keeps_its_intrinsics_and_distortion():
    fields = {'width': 640, 'height': 480, 'k': K, 'distortion_model': 'plumb_bob'}
    camera = camera_from_msg(CameraInfo(d=[0.1, 0.2, 0.3, 0.4, 0.5], **fields))
    assert camera == Camera(640, 480, 500, 510, 320, 240, (0.1, 0.2, 0.3, 0.4, 0.5))
    assert camera_from_msg(CameraInfo(d=[0.1, 0.2, 0.3, 0.4], **fields)).distortion[4] == 0
    assert camera_from_msg(CameraInfo(**fields)).distortion == (0, 0, 0, 0, 0)


def test_a_rectified_image_has_the_projection_and_no_distortion():
    p = [400.0, 0.0, 300.0, -40.0, 0.0, 410.0, 200.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    msg = CameraInfo(width=640, height=480, k=K, p=p, d=[0.1], distortion_model='plumb_bob')
    assert camera_from_msg(msg, rectified=True) == Camera(640, 480, 400, 410, 300, 200)


def test_binning_and_the_region_are_counted_in():
    roi = RegionOfInterest(x_offset=100, y_offset=40, width=200, height=100)
    msg = CameraInfo(width=640, height=480, k=K, binning_x=2, binning_y=4, roi=roi)
    assert camera_from_msg(msg) == Camera(100, 25, 250, 127.5, 110, 50)
    msg = CameraInfo(width=640, height=480, k=K, binning_x=2, binning_y=2)
    assert camera_from_msg(msg) == Camera(320, 240, 250, 255, 160, 120)


def test_a_camera_without_calibration_or_with_another_distortion_is_refused():
    with pytest.raises(
        CerfeVPRError, match=r'focal lengths 0 and 0 pixels and centre \(0, 0\), expected finite'
    ):
        camera_from_msg(CameraInfo(width=640, height=480))
    msg = CameraInfo(k=K, distortion_model='equidistant', d=[0.1, 0.0, 0.0, 0.0])
    with pytest.raises(CerfeVPRError, match=r"'equidistant' with 4 numbers, expected plumb_bob"):
        camera_from_msg(msg)
    msg = CameraInfo(k=K, distortion_model='rational_polynomial', d=[0.1] * 8)
    with pytest.raises(CerfeVPRError, match=r"'rational_polynomial' with 8 numbers"):
        camera_from_msg(msg)


@pytest.mark.parametrize('distortion', [(0.1, 0.2, 0.3, 0.4, 0.5), (0.0,) * 5])
def test_a_camera_survives_its_message(distortion):
    camera = Camera(640, 480, 500, 510, 320, 240, distortion)
    header = Header(frame_id='camera')
    msg = camera_to_msg(camera, header)
    assert msg.header == header and camera_from_msg(msg) == camera
    ideal = Camera(640, 480, 500, 510, 320, 240)
    assert camera_from_msg(msg, rectified=True) == ideal  # its projection is that of K


def test_stamps_keep_every_nanosecond():
    stamp_ns = 1_700_000_000_123_456_789
    assert ns_to_stamp(np.int64(stamp_ns)) == Time(sec=1_700_000_000, nanosec=123_456_789)
    assert stamp_to_ns(ns_to_stamp(stamp_ns)) == stamp_ns


@pytest.mark.parametrize(
    ('name', 'log'),
    [
        ('right', 'images are converted by cv_bridge'),
        ('', 'cv_bridge is not installed; images are converted by CerfeVPR itself'),
        ('swaps', 'cv_bridge is not used: its rgb8 has the wrong colours; CerfeVPR converts'),
        ('crashes', 'cv_bridge is not used: it ends the process with signal 11 (built for anoth'),
        ('fails', 'cv_bridge is not used: ImportError: numpy.core.multiarray failed to import'),
    ],
)
def test_cv_bridge_is_used_only_where_it_is_right_and_the_log_says_so_once(
    install, caplog, name, log
):
    install(STAND_INS.get(name, ''))
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            np.testing.assert_array_equal(image_from_msg(image_to_msg(IMAGE, Header())), IMAGE)
    (record,) = caplog.records
    assert record.getMessage().startswith(log)
    assert (bridge.cv_bridge() is not None) == (name == 'right')


def test_cv_bridge_gets_plain_images_and_no_others(install):
    install(STAND_INS['right'])
    used = bridge.cv_bridge()
    msg = image_to_msg(IMAGE, Header())
    image_from_msg(msg)
    assert used.calls == 1
    padded = Image(encoding='mono8', height=1, width=2, step=3, data=b'\1\2\0')
    np.testing.assert_array_equal(image_from_msg(padded), [[[1, 1, 1], [2, 2, 2]]])
    image_from_msg(Image(encoding='mono16', height=1, width=2, step=4, data=bytes(4)))
    msg.data = msg.data[:100]
    with pytest.raises(ImageError, match=r'found 100 bytes'):
        image_from_msg(msg)
    assert used.calls == 1


@pytest.mark.parametrize('wrong', [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize('at', [0, 2, 4, 5, 'd'])
def test_a_camera_of_numbers_that_are_none_is_refused(wrong, at):
    msg = CameraInfo(k=[100.0, 0.0, 50.0, 0.0, 100.0, 40.0, 0.0, 0.0, 1.0], d=[0.0] * 5)
    msg.distortion_model = 'plumb_bob'
    if at == 'd':
        msg.d[1] = wrong
    else:
        msg.k[at] = wrong
    with pytest.raises(CerfeVPRError, match='expected finite numbers'):
        camera_from_msg(msg)

"""ROS messages <-> arrays and core types."""

from __future__ import annotations

import math
from array import array

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, PoseWithCovariance, Quaternion, Transform, Vector3
from geometry_msgs.msg import Pose as PoseMsg
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from cerfevpr_core.camera_info import camera_of_info
from cerfevpr_core.errors import CerfeVPRError
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.pixel_formats import RGB, Depth, decode_compressed, decode_depth, decode_raw
from cerfevpr_core.uncertain_pose import UncertainPose
from cerfevpr_ros import bridge

_NS = 1_000_000_000
_MAX_NORM_ERROR = 0.01  # quaternions that were sent as 32-bit or written with few digits pass
_PLUMB_BOB = 5  # numbers of its distortion


def image_from_msg(msg: Image) -> RGB:
    """RGB (H, W, 3) of an image message. Raises ImageError."""
    cv_bridge = bridge.cv_bridge()
    if cv_bridge is not None and bridge.suits(msg):
        return cv_bridge.imgmsg_to_cv2(msg, 'rgb8')
    return decode_raw(msg.data, *_layout(msg))


def image_from_compressed_msg(msg: CompressedImage) -> RGB:
    """RGB (H, W, 3) of a JPEG or PNG message. Raises ImageError."""
    return decode_compressed(msg.data, msg.format)


def depth_from_msg(msg: Image) -> Depth:
    """Depth (H, W) in metres of a 16UC1 or 32FC1 message, 0 where unknown. Raises ImageError."""
    return decode_depth(msg.data, *_layout(msg))


def image_to_msg(image: RGB, header: Header, encoding: str = 'rgb8') -> Image:
    """A message of RGB (H, W, 3), encoded as rgb8 or bgr8."""
    assert encoding in ('rgb8', 'bgr8'), encoding
    height, width, channels = image.shape
    pixels = image if encoding == 'rgb8' else image[..., ::-1]
    # Of an ndarray the message checks every byte in Python: 100 ms where this takes less than 1.
    data = array('B', pixels.tobytes())
    step = width * channels
    return Image(
        header=header, height=height, width=width, encoding=encoding, step=step, data=data
    )


def pose_to_msg(pose: Pose) -> PoseMsg:
    """A pose message."""
    x, y, z = map(float, pose.position_m)  # messages take no int and no NumPy scalar
    qx, qy, qz, qw = map(float, pose.quaternion)
    return PoseMsg(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def pose_from_msg(msg: PoseMsg) -> Pose:
    """A pose of unit quaternion. Raises CerfeVPRError for one that was never filled in."""
    position_m = (msg.position.x, msg.position.y, msg.position.z)
    quaternion = msg.orientation
    x, y, z, w = quaternion.x, quaternion.y, quaternion.z, quaternion.w
    norm = math.hypot(x, y, z, w)
    if not all(map(math.isfinite, position_m)) or not abs(norm - 1) < _MAX_NORM_ERROR:
        raise CerfeVPRError(
            f'the pose has position {position_m} and quaternion (x, y, z, w) {(x, y, z, w)}, '
            'expected finite numbers and a quaternion of length 1; '
            'check that its publisher fills in the orientation'
        )
    return Pose(position_m, (x / norm, y / norm, z / norm, w / norm))


def uncertain_pose_from_msg(msg: PoseWithCovariance) -> UncertainPose:
    """A pose with its covariance (6, 6). Raises CerfeVPRError for numbers that are none."""
    covariance = np.array(msg.covariance, np.float64).reshape(6, 6)
    if not np.isfinite(covariance).all():
        raise CerfeVPRError('the covariance has NaN or infinity, expected finite numbers')
    return UncertainPose(pose_from_msg(msg.pose), covariance)


def uncertain_pose_to_msg(pose: UncertainPose) -> PoseWithCovariance:
    """A message of a pose with its covariance."""
    covariance = [float(value) for value in pose.covariance.ravel()]
    return PoseWithCovariance(pose=pose_to_msg(pose.pose), covariance=covariance)


def pose_to_transform(pose: Pose) -> Transform:
    """The transform that takes points of the body to the frame."""
    msg = pose_to_msg(pose)
    at = Vector3(x=msg.position.x, y=msg.position.y, z=msg.position.z)
    return Transform(translation=at, rotation=msg.orientation)


def transform_to_pose(msg: Transform) -> Pose:
    """The body in the frame. Raises CerfeVPRError as for a pose."""
    at = Point(x=msg.translation.x, y=msg.translation.y, z=msg.translation.z)
    return pose_from_msg(PoseMsg(position=at, orientation=msg.rotation))


def camera_from_msg(msg: CameraInfo, rectified: bool = False) -> Camera:
    """The camera of the raw image, or of the rectified one: its binning and region are counted in.

    Raises CerfeVPRError for a camera without calibration and for a distortion that is not
    plumb_bob.
    """
    return camera_of_info(msg, rectified)


def camera_to_msg(camera: Camera, header: Header) -> CameraInfo:
    """The message of a camera whose image is neither binned nor cut."""
    k = camera.matrix()
    projection = np.hstack([k, np.zeros((3, 1))])
    is_plumb_bob = len(camera.distortion) <= _PLUMB_BOB
    return CameraInfo(
        header=header,
        width=camera.width_px,
        height=camera.height_px,
        distortion_model='plumb_bob' if is_plumb_bob else 'rational_polynomial',
        d=list(camera.distortion),
        k=k.ravel(),
        r=np.eye(3).ravel(),
        p=projection.ravel(),
    )


def stamp_to_ns(stamp: Time) -> int:
    """Nanoseconds since the clock's epoch."""
    return int(stamp.sec) * _NS + int(stamp.nanosec)


def ns_to_stamp(stamp_ns: int) -> Time:
    """A message's stamp from nanoseconds."""
    sec, nanosec = divmod(int(stamp_ns), _NS)
    return Time(sec=sec, nanosec=nanosec)


def _layout(msg: Image) -> tuple[int, int, str, int, bool]:
    return msg.height, msg.width, msg.encoding, msg.step, bool(msg.is_bigendian)

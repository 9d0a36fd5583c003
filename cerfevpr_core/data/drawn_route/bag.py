"""A traverse of the drawn route as a rosbag2, as `ros2 bag record` of a robot would leave it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from ...errors import ConfigError
from ...geometry import Camera, Pose
from .route import VIEWPOINTS, DrawnRoute
from .traverse import millimetres

IMAGE, CAMERA_INFO = '/camera/image_raw', '/camera/camera_info'
DEPTH, ODOMETRY = '/camera/depth/image_raw', '/odom'
CAMERA_IN_BASE = Pose((0.3, 0.0, 1.2), (-0.5, 0.5, -0.5, 0.5))  # it looks straight ahead

_RATE_HZ = 5.0
_START_NS = 1_700_000_000_000_000_000
_KINDS = {
    IMAGE: 'sensor_msgs/msg/Image',
    CAMERA_INFO: 'sensor_msgs/msg/CameraInfo',
    DEPTH: 'sensor_msgs/msg/Image',
    ODOMETRY: 'nav_msgs/msg/Odometry',
}


def write_bag(
    route: DrawnRoute,
    out: Path,
    condition: str,
    viewpoint: str = 'centre',
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw every frame into the new rosbag2 `out` (mcap), five images a second.

    Topics: the image, its calibration, depth (16UC1, millimetres) and the odometry of the robot's
    base, in which the camera sits at CAMERA_IN_BASE. `progress` is called with (done, all).
    """
    if viewpoint not in VIEWPOINTS:
        raise ConfigError(f'unknown viewpoint {viewpoint}: choose one of {", ".join(VIEWPOINTS)}')
    if out.exists():
        raise ConfigError(f'{out} is there already: choose another folder, or remove it')
    out.parent.mkdir(parents=True, exist_ok=True)
    messages = _Messages()
    with Writer(out, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        of = {
            topic: writer.add_connection(topic, kind, typestore=messages.store)
            for topic, kind in _KINDS.items()
        }
        for number in range(route.num_frames):
            frame = route.frame(number, condition, *VIEWPOINTS[viewpoint])
            stamp_ns = _START_NS + round(number * 1e9 / _RATE_HZ)
            base = Pose.from_matrix(frame.pose.matrix() @ np.linalg.inv(CAMERA_IN_BASE.matrix()))
            for topic, message in (
                (CAMERA_INFO, messages.camera_info(route.camera, stamp_ns)),
                (ODOMETRY, messages.odometry(base, stamp_ns)),
                (DEPTH, messages.image(millimetres(frame.depth_m), '16UC1', stamp_ns)),
                (IMAGE, messages.image(frame.image, 'rgb8', stamp_ns)),
            ):
                data = messages.store.serialize_cdr(message, _KINDS[topic])
                writer.write(of[topic], stamp_ns, data)
            if progress:
                progress(number + 1, route.num_frames)


class _Messages:
    """Makes the messages of a bag, without ROS."""

    def __init__(self) -> None:
        self.store = get_typestore(Stores.ROS2_JAZZY)

    def image(self, pixels: NDArray[Any], encoding: str, stamp_ns: int) -> Any:
        height, width = pixels.shape[:2]
        rows = np.ascontiguousarray(pixels).reshape(height, -1)
        header = self._header(stamp_ns, 'camera_optical_frame')
        step, data = rows.strides[0], rows.view(np.uint8).reshape(-1)
        return self._make('sensor_msgs/Image', header, height, width, encoding, 0, step, data)

    def camera_info(self, camera: Camera, stamp_ns: int) -> Any:
        k = camera.matrix()
        no_region = self._make('sensor_msgs/RegionOfInterest', 0, 0, 0, 0, False)
        return self._make(
            'sensor_msgs/CameraInfo',
            self._header(stamp_ns, 'camera_optical_frame'),
            camera.height_px,
            camera.width_px,
            'plumb_bob',
            np.array(camera.distortion),
            k.ravel(),
            np.eye(3).ravel(),
            np.hstack([k, np.zeros((3, 1))]).ravel(),
            0,
            0,
            no_region,
        )

    def odometry(self, base: Pose, stamp_ns: int) -> Any:
        at = self._make('geometry_msgs/Point', *base.position_m)
        pose = self._make(
            'geometry_msgs/Pose', at, self._make('geometry_msgs/Quaternion', *base.quaternion)
        )
        still = self._make('geometry_msgs/Vector3', 0.0, 0.0, 0.0)
        twist = self._make('geometry_msgs/Twist', still, still)
        unknown = np.zeros(36)
        return self._make(
            'nav_msgs/Odometry',
            self._header(stamp_ns, 'odom'),
            'base_link',
            self._make('geometry_msgs/PoseWithCovariance', pose, unknown),
            self._make('geometry_msgs/TwistWithCovariance', twist, unknown),
        )

    def _header(self, stamp_ns: int, frame_id: str) -> Any:
        stamp = self._make('builtin_interfaces/Time', *divmod(stamp_ns, 1_000_000_000))
        return self._make('std_msgs/Header', stamp, frame_id)

    def _make(self, kind: str, *fields: Any) -> Any:
        package, name = kind.split('/')
        return self.store.types[f'{package}/msg/{name}'](*fields)

"""What a bag has beside its images: poses, depth, and the camera's calibration, by stamp."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cerfevpr_core.camera_info import camera_of_info
from cerfevpr_core.data.bags import has_topic, messages_of, stamp_of, topic_of_kind
from cerfevpr_core.errors import ConfigError, ImageError
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.pixel_formats import Depth, decode_depth
from cerfevpr_core.stamped import Recent, pose_at

log = logging.getLogger(__name__)

_ODOMETRY = 'nav_msgs/msg/Odometry'
_POSES = (
    _ODOMETRY,
    'geometry_msgs/msg/PoseStamped',
    'geometry_msgs/msg/PoseWithCovarianceStamped',
)
_IMAGE, _CAMERA_INFO = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CameraInfo'
_MAX_POSE_GAP_S, _MAX_STAMP_GAP_S = 0.5, 0.05  # of two to interpolate between; of a single one
_ANY_SPAN_S = 1e8  # years: a bag is read whole


class BagPoses:
    """Poses of a bag's topic: Odometry, PoseStamped or PoseWithCovarianceStamped.

    Those between two are interpolated. `camera_in_base` is the camera in the frame whose poses
    these are; None: they are the camera's own. Raises ImageError for a topic that is not there or
    of another kind.
    """

    def __init__(self, bag: Path, topic: str, camera_in_base: Pose | None = None) -> None:
        self.file = f'{topic} of {bag}'
        kind = topic_of_kind(bag, topic, _POSES)
        if kind == _ODOMETRY and camera_in_base is None:
            log.warning(
                '%s: poses are taken for those of the camera (x right, y down, z forward); where '
                'they are of the base, give --camera-in-base',
                self.file,
            )
        found = {stamp_of(m): _pose(m) for m in messages_of(bag, topic)}
        if not found:
            raise ImageError(f'{self.file} is empty, expected poses')
        self.poses: Recent[Pose] = Recent(len(found), _ANY_SPAN_S)
        for stamp_ns, pose in sorted(found.items()):
            self.poses.put(stamp_ns, pose if camera_in_base is None else pose @ camera_in_base)

    def find(self, name: str, stamp_ns: int = 0) -> Pose | None:
        """At an image's stamp, whatever its name."""
        return pose_at(self.poses, stamp_ns, _MAX_POSE_GAP_S, _MAX_STAMP_GAP_S)


class BagDepth:
    """Depth images of a bag's topic, 16UC1 or 32FC1, registered to the camera.

    They are read along with the images, whose stamps must grow; reading again starts over.
    """

    def __init__(self, bag: Path, topic: str) -> None:
        topic_of_kind(bag, topic, (_IMAGE,))
        self.bag, self.topic = bag, topic
        self._messages: Iterator[Any] = iter(())
        self._last_ns = math.inf
        self._near: list[Any] = []

    def find(self, name: str, stamp_ns: int = 0) -> Depth | None:
        """Depth (H, W) in metres nearest to an image's stamp, within 0.05 s; None without one.

        Raises ImageError for one that cannot be read.
        """
        if stamp_ns < self._last_ns:
            self._messages, self._near = messages_of(self.bag, self.topic), []
        self._last_ns = stamp_ns
        while not self._near or stamp_of(self._near[-1]) < stamp_ns:
            following = next(self._messages, None)
            if following is None:
                break
            self._near = [*self._near[-1:], following]
        nearest = min(self._near, key=lambda m: abs(stamp_of(m) - stamp_ns), default=None)
        if nearest is None or abs(stamp_of(nearest) - stamp_ns) > _MAX_STAMP_GAP_S * 1e9:
            return None
        size, is_bigendian = (nearest.height, nearest.width), bool(nearest.is_bigendian)
        return decode_depth(nearest.data, *size, nearest.encoding, nearest.step, is_bigendian)


def bag_camera(bag: Path, topic: str) -> Camera:
    """The first usable calibration of a CameraInfo topic. Raises ImageError or ConfigError."""
    topic_of_kind(bag, topic, (_CAMERA_INFO,))
    where = f'{topic} of {bag}'
    message = next(messages_of(bag, topic), None)
    if message is None:
        raise ImageError(f'{where} is empty, expected a calibration')
    try:
        return camera_of_info(message)
    except ConfigError as error:
        raise ConfigError(f'{where}: {error}; or give its file with --camera') from None


def camera_of_images(bag: Path, image_topic: str) -> Camera | None:
    """The calibration at `camera_info` beside the image topic, as image_transport has it; None
    without one. Raises ConfigError for one that cannot be used."""
    topic = f'{image_topic.rpartition("/")[0]}/camera_info'
    return bag_camera(bag, topic) if has_topic(bag, topic, _CAMERA_INFO) else None


def _pose(message: Any) -> Pose:
    pose = message.pose.pose if hasattr(message.pose, 'pose') else message.pose
    p, q = pose.position, pose.orientation
    length = math.hypot(q.x, q.y, q.z, q.w)
    if not np.isfinite([p.x, p.y, p.z]).all() or not 0.9 < length < 1.1:
        raise ImageError(
            f'a pose has position {(p.x, p.y, p.z)} and quaternion {(q.x, q.y, q.z, q.w)}, '
            'expected finite numbers and a quaternion of length 1'
        )
    x, y, z, w = q.x / length, q.y / length, q.z / length, q.w / length
    return Pose((float(p.x), float(p.y), float(p.z)), (float(x), float(y), float(z), float(w)))

"""What a node hears of its camera: the newest image is served in a thread of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from cerfevpr_core.errors import CerfeVPRError
from cerfevpr_core.geometry import Camera
from cerfevpr_core.pixel_formats import RGB
from cerfevpr_core.recognizer import StageClock
from cerfevpr_ros.conversions import (
    camera_from_msg,
    image_from_compressed_msg,
    image_from_msg,
    stamp_to_ns,
)
from cerfevpr_ros.diagnostics import ServiceRecord
from cerfevpr_ros.twins import Twins
from cerfevpr_ros.worker import NewestWorker

# A few deep: what DDS delivers together is counted; the worker keeps the newest alone.
_CAMERA = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)

# Instead of one that tells no intrinsics: with none at all the map's own camera would be taken.
_NO_CAMERA = Camera(0, 0, math.nan, math.nan, math.nan, math.nan)

ImageMsg: TypeAlias = Image | CompressedImage

# (image, header of its message, the clock of its stages) -> nothing. May raise CerfeVPRError.
Serve = Callable[[RGB, Header, StageClock], None]


class CameraInput:
    """Listens to `image`, `image/compressed` and `camera_info` between `start` and `stop`.

    `camera` is the newest calibration, `record` counts what became of the images.
    """

    def __init__(self, node: Node, serve: Serve, is_rectified: bool) -> None:
        self.record = ServiceRecord()
        self.camera: Camera | None = None
        self._node = node
        self._serve_image = serve
        self._is_rectified = is_rectified
        self._worker: NewestWorker[ImageMsg] | None = None
        self._listening: list[Any] = []
        self._twins = Twins()

    @property
    def num_dropped(self) -> int:
        """Images that gave way to a newer one since `start`."""
        return self._worker.num_dropped if self._worker else 0

    @property
    def is_listening(self) -> bool:
        """Between `start` and `stop`."""
        return bool(self._listening)

    def start(self) -> None:
        """Listen, and count from 0."""
        self.record = ServiceRecord()
        self.camera = None
        self._twins = Twins()
        self._worker = NewestWorker(self._serve)
        subscribe = self._node.create_subscription
        self._listening = [
            subscribe(Image, 'image', self._on_image, _CAMERA),
            subscribe(CompressedImage, 'image/compressed', self._on_image, _CAMERA),
            subscribe(CameraInfo, 'camera_info', self._on_camera_info, _CAMERA),
        ]

    def stop(self) -> None:
        """Finish the image in work and stop listening. May come twice."""
        for subscription in self._listening:
            self._node.destroy_subscription(subscription)
        self._listening = []
        if self._worker is not None:
            self._worker.stop()  # and kept: it knows how many images were dropped

    def _on_image(self, msg: ImageMsg) -> None:
        if self._twins.has_come(type(msg).__name__, stamp_to_ns(msg.header.stamp)):
            return
        self.record.received()
        if self._worker is not None:
            self._worker.submit(msg)  # a newer image replaces one that waits, and is counted

    def _on_camera_info(self, msg: CameraInfo) -> None:
        try:
            self.camera = camera_from_msg(msg, self._is_rectified)
        except CerfeVPRError as error:
            self.camera = _NO_CAMERA
            self._node.get_logger().warning(f'no poses: {error}', throttle_duration_sec=5.0)

    def _serve(self, msg: ImageMsg) -> None:
        clock = StageClock()
        try:
            image = _convert(msg)
            clock.stop('convert')
            self._serve_image(image, msg.header, clock)
        except CerfeVPRError as error:
            self.record.rejected(str(error))
            self._node.get_logger().warning(f'image rejected: {error}', throttle_duration_sec=5.0)
        except Exception as error:
            self.record.rejected(f'internal error: {error!r}')
            raise  # the worker logs where it happened


def _convert(msg: ImageMsg) -> RGB:
    if isinstance(msg, CompressedImage):
        return image_from_compressed_msg(msg)
    return image_from_msg(msg)

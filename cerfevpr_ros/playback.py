"""A folder of images as a camera's topics: the image, and what is known beside it."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from cerfevpr_core.data.bags import find_image_topic
from cerfevpr_core.data.beside import camera_of_images
from cerfevpr_core.data.depth_images import DepthImages
from cerfevpr_core.data.frames import Frame
from cerfevpr_core.data.positions import PoseTable, read_camera
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.geometry import Camera
from cerfevpr_core.pixel_formats import Depth
from cerfevpr_ros.conversions import camera_to_msg, image_to_msg, pose_to_msg

_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


class Playback:
    """Publishes `image`; `camera_info`, `pose` and `depth` where files for them are given.

    All of a frame are stamped with the time of sending. Raises ConfigError for a file that cannot
    be read.
    """

    def __init__(self, node: Node, options: dict[str, Any]) -> None:
        self._node, self._options = node, options
        self.images = node.create_publisher(Image, 'image', _RELIABLE)
        self.camera_infos = node.create_publisher(CameraInfo, 'camera_info', _RELIABLE)
        self.camera = self._camera()
        self.poses = PoseTable(Path(f).expanduser()) if (f := options['poses']) else None
        self.depths = DepthImages(Path(f).expanduser()) if (f := options['depth']) else None
        if self.poses is not None:
            self._poses_out = node.create_publisher(PoseStamped, 'pose', _RELIABLE)
        if self.depths is not None:
            self._depths_out = node.create_publisher(Image, 'depth', _RELIABLE)

    def publish(self, frame: Frame) -> int:
        """Send a frame; returns its stamp in nanoseconds."""
        stamp = self._node.get_clock().now()
        header = Header(stamp=stamp.to_msg(), frame_id=self._options['frame_id'])
        # Before the image, which is answered with what is known then:
        if self.camera is not None:
            self.camera_infos.publish(camera_to_msg(self.camera, header))
        pose = self.poses.find(frame.name, frame.stamp_ns) if self.poses else None
        if pose is not None:
            in_map = Header(stamp=header.stamp, frame_id=self._options['map_frame'])
            self._poses_out.publish(PoseStamped(header=in_map, pose=pose_to_msg(pose)))
        depth_m = self.depths.find(frame.name) if self.depths else None
        if depth_m is not None:
            self._depths_out.publish(_depth_to_msg(depth_m, header))
        self.images.publish(image_to_msg(frame.image, header))
        return int(stamp.nanoseconds)

    def _camera(self) -> Camera | None:
        if given := self._options['camera']:
            return read_camera(Path(given).expanduser())
        try:
            return self._camera_beside()
        except ConfigError as error:  # nobody asked for it: the images can be played all the same
            self._node.get_logger().warning(f'no camera_info: {error}')
            return None

    def _camera_beside(self) -> Camera | None:
        """That of the folder's camera.yaml, or of camera_info in the bag."""
        images, bag = self._options['images'], self._options['bag']
        if images and (file := Path(images).expanduser() / 'camera.yaml').is_file():
            return read_camera(file)
        if bag and not images:
            path = Path(bag).expanduser()
            topic = find_image_topic(path, self._options['topic'] or None)
            return camera_of_images(path, topic.name)
        return None


def _depth_to_msg(depth_m: Depth, header: Header) -> Image:
    """16UC1, millimetres."""
    millimetres = np.rint(depth_m * np.float32(1000)).clip(0, 65535).astype('<u2')
    height, width = depth_m.shape
    data = array('B', millimetres.tobytes())
    return Image(
        header=header, height=height, width=width, encoding='16UC1', step=2 * width, data=data
    )

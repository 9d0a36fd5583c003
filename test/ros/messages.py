"""Images as the tests send them: messages that their number stamps, and bags."""

from __future__ import annotations

from pathlib import Path

import numpy as np

START_NS = 1_700_000_000_000_000_000


def image_msg(image: np.ndarray, number: int, frame_id: str = 'front_camera'):
    """An Image, stamped by its number."""
    from std_msgs.msg import Header

    from cerfevpr_ros.conversions import image_to_msg, ns_to_stamp

    stamp = ns_to_stamp(START_NS + number)
    return image_to_msg(image, Header(stamp=stamp, frame_id=frame_id))


def camera_info_msg(camera, number: int = 0):
    """A CameraInfo, stamped by the number of its image."""
    from std_msgs.msg import Header

    from cerfevpr_ros.conversions import camera_to_msg, ns_to_stamp

    stamp = ns_to_stamp(START_NS + number)
    return camera_to_msg(camera, Header(stamp=stamp, frame_id='front_camera'))


def number_of(msg) -> int:
    """The number of the image that a message was made of, or answers."""
    from cerfevpr_ros.conversions import stamp_to_ns

    return stamp_to_ns(msg.header.stamp) - START_NS


def write_bag(folder: Path, images: list[np.ndarray], storage: str) -> Path:
    """A rosbag2 with the images at /camera/image_raw."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    types, kind = store.types, 'sensor_msgs/msg/Image'
    with Writer(folder, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        connection = writer.add_connection('/camera/image_raw', kind, typestore=store)
        for number, image in enumerate(images):
            stamp = types['builtin_interfaces/msg/Time'](1_700_000_000, number)
            header = types['std_msgs/msg/Header'](stamp, 'camera')
            height, width = image.shape[:2]
            message = types[kind](header, height, width, 'rgb8', 0, 3 * width, image.reshape(-1))
            writer.write(connection, START_NS + number, store.serialize_cdr(message, kind))
    return folder

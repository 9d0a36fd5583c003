"""A robot that drives with a mapper on board: its camera, its poses, its depth."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
from client import Client
from messages import START_NS, camera_info_msg, image_msg
from processes import Process, TimedOut, wait_until

from cerfevpr_core.geometry import Camera, Pose

S = 1_000_000_000


@dataclass
class Seen:
    """What the robot knows at one place of its drive."""

    image: np.ndarray
    pose: Pose | None = None
    depth_m: np.ndarray | None = None


class Driver:
    """Publishes what a mapper in a namespace hears, and hears what it adds."""

    def __init__(self, client: Client, namespace: str, process: Process, listens=True) -> None:
        from lifecycle_msgs.srv import GetState
        from sensor_msgs.msg import CameraInfo, Image

        from cerfevpr_msgs.msg import KeyframeAdded

        self.client, self.process = client, process
        self.namespace, self.name = f'/{namespace}', f'/{namespace}/mapper'
        self.added = client.hears(KeyframeAdded, f'{self.name}/keyframes')
        self.publishers: dict = {}
        self.number = 0
        if listens:
            self.images = self.out(Image, 'image')
            self.infos = self.out(CameraInfo, 'camera_info')
            # A place is added and told once. DDS tells of our ends in their order: a mapper that
            # finds this client's has found the listener to its keyframes.
            client.call(GetState, f'{self.name}/get_state')

    def out(self, kind: type, topic: str):
        """A publisher that the mapper listens to."""
        if topic not in self.publishers:
            self.publishers[topic] = self.client.publisher(kind, f'{self.namespace}/{topic}')
        return self.publishers[topic]

    def drive(self, seen: Seen, camera: Camera | None = None) -> int:
        """One place; a second later than the last one. Returns its number."""
        from geometry_msgs.msg import PoseStamped
        from sensor_msgs.msg import Image

        from cerfevpr_ros.conversions import pose_to_msg

        self.number += S
        msg = image_msg(seen.image, self.number)
        if camera is not None:
            self.infos.publish(camera_info_msg(camera, self.number))
        if seen.depth_m is not None:
            self.out(Image, 'depth').publish(depth_msg(seen.depth_m, msg.header))
        if seen.pose is not None:
            pose = PoseStamped(header=msg.header, pose=pose_to_msg(seen.pose))
            self.out(PoseStamped, 'pose').publish(pose)
        self.images.publish(msg)
        return self.number

    def until_added(self, seen: Seen, camera: Camera | None = None):
        """Show a place until it is a keyframe: best effort loses messages. What was added."""
        for _ in range(20):
            number = self.drive(seen, camera)
            with contextlib.suppress(TimedOut):
                wait_until(lambda: self.of(number), '', 3)  # noqa: B023
                return self.of(number)[0]
        raise AssertionError(f'{self.name} adds nothing:\n{self.process.output}')

    def of(self, number: int) -> list:
        """What was added of the image of this number."""
        from cerfevpr_ros.conversions import stamp_to_ns

        return [m for m in list(self.added) if stamp_to_ns(m.header.stamp) - START_NS == number]

    def call(self, kind: type, service: str, **fields):
        """The response of one of its services."""
        return self.client.call(kind, f'{self.name}/{service}', **fields)


def depth_msg(depth_m: np.ndarray, header):
    """A 32FC1 image."""
    from sensor_msgs.msg import Image

    height, width = depth_m.shape
    data = np.asarray(depth_m, '<f4').tobytes()
    return Image(
        header=header, height=height, width=width, encoding='32FC1', step=4 * width, data=data
    )

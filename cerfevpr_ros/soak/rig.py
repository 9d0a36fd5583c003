"""What stands around the nodes: a camera that can be taken away, ears, and service clients."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from cerfevpr_core.geometry import Camera
from cerfevpr_core.pixel_formats import RGB
from cerfevpr_msgs.msg import PlaceMatchArray
from cerfevpr_ros.conversions import camera_to_msg, image_to_msg, ns_to_stamp, stamp_to_ns
from cerfevpr_ros.soak.tally import Tally

_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
FRAME_ID = 'soak_camera'


class Lens:
    """The camera's publishers, in a DDS participant of their own, so that it can come and go."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node('soak_camera', context=self._context)
        self._raw = self._node.create_publisher(Image, 'image', _RELIABLE)
        self._compressed = self._node.create_publisher(
            CompressedImage, 'image/compressed', _RELIABLE
        )
        self._info = self._node.create_publisher(CameraInfo, 'camera_info', _RELIABLE)

    def close(self) -> None:
        """Leave the domain."""
        self._node.destroy_node()
        self._context.try_shutdown()

    def num_listening(self) -> int:
        """Who hears the raw images."""
        return int(self._raw.get_subscription_count())

    def send(self, msg: Image | CompressedImage, counted: bool = True) -> None:
        """Publish a message as it is; `counted`: an answer may come to its stamp."""
        if counted:
            self._tally.sent(stamp_to_ns(msg.header.stamp))
        (self._raw if isinstance(msg, Image) else self._compressed).publish(msg)

    def send_camera(self, camera: Camera, stamp: Time) -> None:
        """Publish a calibration."""
        self._info.publish(camera_to_msg(camera, Header(stamp=stamp, frame_id=FRAME_ID)))


class Rig:
    """Everything that talks to the nodes. Close it by leaving its block."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.diagnostics: dict[str, str] = {}
        self.num_diagnostics = 0
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node: Node = rclpy.create_node('soak', context=self._context)
        self._clients: dict[str, Any] = {}
        self._last_stamp_ns = 0
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        subscribe = self.node.create_subscription
        subscribe(PlaceMatchArray, 'localizer/place_matches', self._on_answer, _RELIABLE)
        self.num_pictures = self.num_markers = 0  # somebody looks, so that they are made
        subscribe(CompressedImage, 'localizer/match_image/compressed', self._on_picture, 10)
        subscribe(MarkerArray, 'localizer/markers', self._on_markers, 10)
        subscribe(DiagnosticArray, '/diagnostics', self._on_diagnostics, _RELIABLE)
        self._thread = threading.Thread(target=self._spin, name='rig', daemon=True)
        self.lens = Lens(tally)

    def __enter__(self) -> Rig:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join()
        self.lens.close()
        self.node.destroy_node()
        self._context.try_shutdown()

    def new_lens(self) -> None:
        """The camera driver is started anew."""
        self.lens.close()
        self.lens = Lens(self.tally)
        self.wait_for_listener()

    def wait_for_listener(self, seconds: float = 10.0) -> bool:
        """Until the localizer has found the camera; False: it has not."""
        deadline = time.monotonic() + seconds
        while not self.lens.num_listening() and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.lens.num_listening() > 0

    def stamp_ns(self) -> int:
        """Now, and later than any stamp before."""
        self._last_stamp_ns = max(time.time_ns(), self._last_stamp_ns + 1)
        return self._last_stamp_ns

    def ask(self, image: RGB, stamp_ns: int | None = None, seconds: float = 10.0) -> int | None:
        """Send an image and wait for its answer: the first keyframe, None without an answer."""
        stamp_ns = self.stamp_ns() if stamp_ns is None else stamp_ns
        self.lens.send(raw_msg(image, stamp_ns))
        return self.tally.wait(stamp_ns, seconds)

    def ask_surely(self, image: RGB, why: str, tries: int = 3) -> int | None:
        """As `ask`, some times: best effort may lose an image. Without any answer a failure."""
        for attempt in range(tries):
            found = self.ask(image)
            if found is not None:
                if attempt:
                    self.tally.count('asked again', attempt)
                return found
        self.tally.failed(f'no answer {why}, asked {tries} times')
        return None

    def call(self, kind: Any, name: str, request: Any, seconds: float = 20.0) -> Any:
        """The response of a service; None if it does not come or there is no such service."""
        if name not in self._clients:
            self._clients[name] = self.node.create_client(kind, name)
            self._clients[name].wait_for_service(5.0)
        client = self._clients[name]
        if not client.service_is_ready():
            return None
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        if done.wait(seconds):
            return future.result()
        client.remove_pending_request(future)
        return None

    def _on_answer(self, msg: PlaceMatchArray) -> None:
        best = msg.matches[0].keyframe_id if msg.matches else 0
        self.tally.answered(stamp_to_ns(msg.header.stamp), int(best))

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            values = {v.key: v.value for v in status.values}
            if status.name.startswith('localizer:') and 'images received' in values:
                self.diagnostics = values
                self.num_diagnostics += 1

    def _on_picture(self, msg: CompressedImage) -> None:
        self.num_pictures += 1

    def _on_markers(self, msg: MarkerArray) -> None:
        self.num_markers += 1

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()


def raw_msg(image: RGB, stamp_ns: int) -> Image:
    """An image message of this stamp."""
    return image_to_msg(image, Header(stamp=ns_to_stamp(stamp_ns), frame_id=FRAME_ID))

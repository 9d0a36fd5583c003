"""What people look at while a localizer runs: markers, and a picture of each answer.

Everything is made in a thread of its own, and only while somebody subscribes.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Callable
from typing import TypeAlias

from PIL import Image as PilImage
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from cerfevpr_core.errors import MapError
from cerfevpr_core.map_scene import map_scene
from cerfevpr_core.match_picture import draw_match
from cerfevpr_core.pixel_formats import RGB
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.recognizer import Recognition
from cerfevpr_ros.conversions import image_to_msg
from cerfevpr_ros.markers import answer_markers, map_markers
from cerfevpr_ros.worker import NewestWorker

_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_LOOK_S = 1.0  # between looks whether the map has changed or somebody new subscribes
_AGAIN = 30  # looks after which the map is sent again, for a viewer that took another's place

_Seen: TypeAlias = tuple[RGB, Recognition, Header]


class Watching:
    """Publishes `~/markers`, `~/match_image` and `~/match_image/compressed`.

    `place_map` gives the map in use, None without one. `num_dropped` answers were not shown
    because a newer one was.
    """

    def __init__(
        self, node: Node, map_frame: str, place_map: Callable[[], PlaceMap | None]
    ) -> None:
        self._node, self._map_frame, self._place_map = node, map_frame, place_map
        self._markers = node.create_publisher(MarkerArray, '~/markers', _RELIABLE)
        self._raw = node.create_publisher(Image, '~/match_image', _RELIABLE)
        self._jpeg = node.create_publisher(CompressedImage, '~/match_image/compressed', _RELIABLE)
        self._worker: NewestWorker[_Seen] | None = None
        self._shown: tuple[str, str] | None = None  # map and generation that viewers have
        self._num_viewers = self._num_looks = 0
        node.create_timer(_LOOK_S, self._look)

    @property
    def num_dropped(self) -> int:
        """Answers that gave way to a newer one."""
        return self._worker.num_dropped if self._worker else 0

    def start(self) -> None:
        """Begin to show; the map is sent to whoever looks."""
        self.stop()
        self._shown = None
        self._worker = NewestWorker(self._show)

    def stop(self) -> None:
        """Finish what is being drawn; the map is not read afterwards. May come twice."""
        if self._worker is not None:
            self._worker.stop()

    def submit(self, image: RGB, found: Recognition, header: Header) -> None:
        """An image was answered; never waits."""
        if self._worker is not None:  # it asks whether anybody watches: here nothing may fail
            self._worker.submit((image, found, header))

    def _show(self, seen: _Seen) -> None:
        try:
            if self._markers.get_subscription_count():
                self._show_markers(seen[1], seen[2])
            if self._raw.get_subscription_count() or self._jpeg.get_subscription_count():
                self._show_picture(*seen)
        except Exception:
            if self._node.context.ok():  # else the node was told to stop meanwhile
                raise

    def _show_markers(self, found: Recognition, header: Header) -> None:
        in_map = Header(stamp=header.stamp, frame_id=self._map_frame)
        self._markers.publish(answer_markers(found, in_map))

    def _show_picture(self, image: RGB, found: Recognition, header: Header) -> None:
        picture = draw_match(image, found, self._thumbnail(found))
        if self._raw.get_subscription_count():
            self._raw.publish(image_to_msg(picture, header))
        if self._jpeg.get_subscription_count():
            data = io.BytesIO()
            PilImage.fromarray(picture).save(data, 'JPEG', quality=85)
            jpeg = array('B', data.getvalue())
            self._jpeg.publish(CompressedImage(header=header, format='jpeg', data=jpeg))

    def _thumbnail(self, found: Recognition) -> bytes:
        """That of the best candidate; empty where another map was loaded meanwhile."""
        place_map = self._place_map()
        if not found.candidates or place_map is None:
            return b''
        if place_map.manifest.map_id != found.map_id:
            return b''
        try:
            return place_map.store.thumbnail(found.candidates[0].keyframe_id)
        except MapError:  # closed between these two lines, or removed: the next image tells
            return b''

    def _look(self) -> None:
        """Send the map if it has changed, or somebody may not have it."""
        num_viewers = self._markers.get_subscription_count()
        is_new = num_viewers > self._num_viewers
        self._num_viewers, self._num_looks = num_viewers, self._num_looks + 1
        place_map = self._place_map()
        if not num_viewers or place_map is None:
            return
        try:
            state = place_map.manifest.map_id, place_map.store.generation()
            if state == self._shown and not is_new and self._num_looks % _AGAIN:
                return
            scene = map_scene(place_map.store.everything())
        except MapError as error:  # removed or replaced while it is in use
            self._node.get_logger().warning(f'no markers: {error}', throttle_duration_sec=5.0)
            return
        self._shown = state
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._map_frame)
        self._markers.publish(map_markers(scene, header))

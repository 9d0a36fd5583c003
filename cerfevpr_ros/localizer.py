"""The localizer: camera images in; place matches, candidate keyframes and poses out."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped as PoseMsg
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from cerfevpr_core.config import Config, running_settings
from cerfevpr_core.errors import ConfigError, MapError
from cerfevpr_core.pixel_formats import RGB
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.recognizer import PlaceRecognizer, Recognition, StageClock
from cerfevpr_core.sequence import ImageStream
from cerfevpr_msgs.msg import KeyframeCandidates, PlaceMatchArray
from cerfevpr_msgs.srv import Localize
from cerfevpr_ros.camera_input import CameraInput
from cerfevpr_ros.conversions import image_from_msg, stamp_to_ns
from cerfevpr_ros.diagnostics import about_map
from cerfevpr_ros.map_node import MapNode, folder_of
from cerfevpr_ros.map_services import MapServices, answered
from cerfevpr_ros.parameters import SettingsFromParameters, own_parameter
from cerfevpr_ros.pose_input import PoseInput
from cerfevpr_ros.program import run_lifecycle
from cerfevpr_ros.results import candidates_to_msg, matches_to_msg, pose_to_stamped_msg
from cerfevpr_ros.watching import Watching

_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)

_OWN = frozenset(
    {
        'autostart',
        'base_frame',
        'camera_frame',
        'camera_in_base',
        'image_is_rectified',
        'map_frame',
        'map_root',
        'pose_source',
    }
)


class Localizer(MapNode):
    """A lifecycle node around one PlaceRecognizer. Configure loads, activate listens."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__('localizer', **node_options)
        self.recognizer: PlaceRecognizer | None = None
        live = {'map.traverses': self._on_traverses}
        self.settings = SettingsFromParameters(self, _OWN, live)
        self.map_frame = own_parameter(self, 'map_frame', 'map')
        self.input = CameraInput(
            self, self._serve, own_parameter(self, 'image_is_rectified', False)
        )
        self.odometry = PoseInput(self)
        self.stream = ImageStream(None)
        self._recognizing = threading.Lock()  # the worker and the service share the model
        self.matches = self.create_lifecycle_publisher(
            PlaceMatchArray, '~/place_matches', _RELIABLE
        )
        self.candidates = self.create_lifecycle_publisher(
            KeyframeCandidates, '~/candidates', _RELIABLE
        )
        self.poses = self.create_lifecycle_publisher(PoseMsg, '~/pose', _RELIABLE)
        self.create_service(Localize, '~/localize', self._on_localize)
        map_root = own_parameter(self, 'map_root', '')
        self.watching = Watching(self, self.map_frame, self.place_map)
        self.map_services = MapServices(self, map_root, self.place_map, self.load_map)
        self.is_whole = True

    def place_map(self) -> PlaceMap | None:
        """The map in use."""
        return self.recognizer.place_map if self.recognizer else None

    def load_map(self, folder: Path) -> None:
        """Go on in another map. Raises CerfeVPRError, and keeps the old one."""
        values = self.settings.given() | {'map.path': str(folder)}
        new = PlaceRecognizer.load(folder, overrides=values, may_be_empty=True)
        with self._recognizing:
            old, self.recognizer = self.recognizer, new
            self.stream = ImageStream(new.sequence())
            if old is not None:
                old.close()
        self.settings.in_use(running_settings(new.config))

    def open(self) -> None:
        """Open the map with the model that made it, and run it once so that it is warm."""
        self.recognizer = self._load()
        self.recognizer.recognize(np.zeros((64, 64, 3), np.uint8))
        self.map_services.configured(self.recognizer.place_map.folder)
        self.get_logger().info(_opened(self.recognizer))
        if not len(self.recognizer.place_map):
            self.get_logger().warning('the map is empty: every image is UNKNOWN until it grows')

    def start_listening(self) -> None:
        """Subscribe to the camera, with no belief yet where it is."""
        assert self.recognizer is not None
        self.stream = ImageStream(self.recognizer.sequence())
        self.odometry.start(self.recognizer.config.mapping)
        self.watching.start()
        self.input.start()

    def stop_listening(self) -> None:
        """Listen to nothing any more; may be called twice."""
        self.input.stop()
        self.odometry.stop()
        self.watching.stop()

    def close(self) -> None:
        """Stop listening and close the map; may be called twice."""
        self.stop_listening()
        if self.recognizer is not None:
            self.recognizer.close()
            self.recognizer = None
            self.settings.unlock()

    def about(self) -> dict[str, str]:
        """What `/diagnostics` says of the map in use; nothing without one."""
        return about_map(self.recognizer, self.input.camera) if self.recognizer else {}

    def _on_traverses(self, config: Config) -> None:
        if self.recognizer is not None:
            with self._recognizing:
                self.recognizer.choose_traverses(config.map.traverses)
                self.stream = ImageStream(self.recognizer.sequence())

    def _load(self) -> PlaceRecognizer:
        values = self.settings.given()
        made = 'a folder made by `cerfevpr map build --images DIR --out MAP`'
        folder = folder_of(values, made)  # which a mapper may be filling
        recognizer = PlaceRecognizer.load(folder, overrides=values, may_be_empty=True)
        self.settings.in_use(running_settings(recognizer.config))
        return recognizer

    def _serve(self, image: RGB, header: Header, clock: StageClock) -> None:
        stamp_ns = stamp_to_ns(header.stamp)
        pose = self.odometry.pose(stamp_ns, may_wait=False)
        with self._recognizing:
            recognizer = self.recognizer  # in here: load_map may replace it
            assert recognizer is not None
            motion = self.stream.motion_to(stamp_ns, pose)
            found = recognizer.recognize(
                image, None, self.input.camera, self.stream.belief, motion
            )
        found.stage_ms.update(clock.stage_ms)
        self._publish(found, header)
        posed, reason = found.pose is not None, found.pose_reason or ''
        self.input.record.answered(found.stage_ms, posed, reason, found.decision.name)
        self.watching.submit(image, found, header)

    def _publish(self, found: Recognition, header: Header) -> None:
        try:
            self.matches.publish(matches_to_msg(found, header))
            self.candidates.publish(candidates_to_msg(found, header))
            if found.pose is not None:
                self.poses.publish(pose_to_stamped_msg(found.pose, header, self.map_frame))
        except Exception:
            if self.context.ok():  # else the node was told to stop while it recognised
                raise

    def _on_localize(
        self, request: Localize.Request, response: Localize.Response
    ) -> Localize.Response:
        def localize() -> None:
            recognizer = self.recognizer  # replaced in this thread alone
            if recognizer is None:
                raise MapError('the localizer is not configured: no map is loaded')
            top_k = _top_k(request)
            image = image_from_msg(request.image)
            with self._recognizing:
                found = recognizer.recognize(image, top_k, self.input.camera)
            response.result = matches_to_msg(found, request.image.header)

        return answered(self, response, localize)


def _opened(recognizer: PlaceRecognizer) -> str:
    place_map, config = recognizer.place_map, recognizer.config
    poses = f'poses by {config.verification.detector} keypoints'
    return f'{len(place_map)} keyframes from {place_map.folder}, method {config.method}, ' + (
        poses if recognizer.relocalizer is not None else 'no poses: the map keeps no keypoints'
    )


def _top_k(request: Localize.Request) -> int | None:
    if request.top_k < 0:
        raise ConfigError(f'top_k is {request.top_k}, expected 1 or more, or 0 for map.top_k')
    return request.top_k or None


def main(arguments: list[str] | None = None) -> int:
    """Run the node until it is told to stop; 1 if it cannot start."""
    return run_lifecycle('localizer', Localizer, arguments)


if __name__ == '__main__':
    sys.exit(main())

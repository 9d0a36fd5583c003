"""The mapper: camera images in, with poses and depth where there are any; a growing map out."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from cerfevpr_core.config import running_settings
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.keyframe_maker import Shot
from cerfevpr_core.keyframe_policy import Moment
from cerfevpr_core.live_map import Added, LiveMapper
from cerfevpr_core.pixel_formats import RGB
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.recognizer import StageClock
from cerfevpr_msgs.msg import KeyframeAdded
from cerfevpr_ros.camera_input import CameraInput
from cerfevpr_ros.conversions import stamp_to_ns
from cerfevpr_ros.diagnostics import about_keyframes
from cerfevpr_ros.loops import LoopPublisher
from cerfevpr_ros.map_node import MapNode, folder_of
from cerfevpr_ros.map_services import MapServices
from cerfevpr_ros.mapper_services import MapperServices
from cerfevpr_ros.mapping_input import MappingInput
from cerfevpr_ros.parameters import SettingsFromParameters, own_parameter
from cerfevpr_ros.program import run_lifecycle
from cerfevpr_ros.results import keyframe_added_to_msg

_RELIABLE = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)

_OWN = frozenset(
    {
        'autostart',
        'base_frame',
        'camera_frame',
        'camera_in_base',
        'create_map',
        'image_is_rectified',
        'map_root',
        'pose_source',
        'traverse',
        'use_depth',
    }
)


class Mapper(MapNode):
    """A lifecycle node around one LiveMapper. Configure opens the map, activate listens."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__('mapper', **node_options)
        self.live_map: LiveMapper | None = None
        self.settings = SettingsFromParameters(self, own=_OWN)
        self.create_map = own_parameter(self, 'create_map', True)
        own_parameter(self, 'traverse', '')
        self.beside = MappingInput(self)
        self.input = CameraInput(
            self, self._serve, own_parameter(self, 'image_is_rectified', False)
        )
        self.in_use = threading.RLock()  # whoever holds it may use the map; load_map replaces it
        self.num_added, self.last_reason = 0, ''
        self.loops = LoopPublisher(self)
        self.keyframes = self.create_publisher(KeyframeAdded, '~/keyframes', _RELIABLE)
        map_root = own_parameter(self, 'map_root', '')
        self.map_services = MapServices(self, map_root, self.place_map, self.load_map)
        self.keyframe_services = MapperServices(self)
        self.is_whole = True

    @property
    def traverse(self) -> str:
        """The name of this drive; it may be set while the node runs. Raises ConfigError."""
        return str(own_parameter(self, 'traverse', ''))

    @property
    def camera(self) -> Camera | None:
        """The calibration, if a usable one has been heard."""
        camera = self.input.camera
        return camera if camera is not None and camera.width_px else None

    def place_map(self) -> PlaceMap | None:
        """The map in use."""
        return self.live_map.place_map if self.live_map else None

    def open(self) -> None:
        """Open or create the map, and run the network once so that it is warm."""
        self.live_map = live_map = self._load()
        live_map.maker.make(Shot(np.zeros((64, 64, 3), np.uint8)), 'warm')
        self.loops.open(live_map)
        self.map_services.configured(live_map.place_map.folder)
        self.get_logger().info(_opened(live_map))

    def start_listening(self) -> None:
        """Subscribe to the camera, and to what comes beside it."""
        assert self.live_map is not None
        self.beside.start(self.live_map.config.mapping)
        self.input.start()

    def stop_listening(self) -> None:
        """Listen to nothing any more; may be called twice."""
        self.input.stop()
        self.beside.stop()

    def close(self) -> None:
        """Stop listening and close the map; may be called twice."""
        self.stop_listening()
        with self.in_use:
            self.loops.close()
            if self.live_map is not None:
                self.live_map.close()
                self.live_map = None
                self.settings.unlock()

    def about(self) -> dict[str, str]:
        """What `/diagnostics` says of the map in use; nothing without one."""
        if (place_map := self.place_map()) is None:
            return {}
        return {
            **self.loops.about(),
            **about_keyframes(place_map),
            'keyframes added': str(self.num_added),
            'last reason for no keyframe': self.last_reason or '-',
        }

    def load_map(self, folder: Path) -> None:
        """Go on with another map. Raises CerfeVPRError, and keeps the old one."""
        values = self.settings.given() | {'map.path': str(folder)}
        new = LiveMapper.load(folder, create=False, overrides=values)
        with self.in_use, ExitStack() as on_error:
            on_error.callback(new.close)
            self.loops.open(new)
            on_error.pop_all()
            old, self.live_map = self.live_map, new
            if old is not None:
                old.close()
        self.settings.in_use(running_settings(new.config))

    def told(self, added: Added, header: Header) -> None:
        """Publish a new keyframe, which is on disk, and look for a loop that it closes."""
        self.num_added += 1
        self.loops.take(added, header)
        assert self.live_map is not None and added.keyframe is not None
        map_id = self.live_map.place_map.manifest.map_id
        try:
            self.keyframes.publish(keyframe_added_to_msg(added, header, map_id))
        except Exception:
            if self.context.ok():  # else the node was told to stop meanwhile
                raise

    def _load(self) -> LiveMapper:
        values = self.settings.given()
        folder = folder_of(values, 'its folder')
        live_map = LiveMapper.load(folder, self.create_map, overrides=values)
        self.settings.in_use(running_settings(live_map.config))
        return live_map

    def _serve(self, image: RGB, header: Header, clock: StageClock) -> None:
        assert self.live_map is not None
        if self.live_map.config.mapping.keyframes == 'service':
            self.last_reason = 'mapping.keyframes is service: only ~/add_keyframe adds'
            self.input.record.answered(clock.stage_ms)
            return
        pose, no_pose = None, ''
        if self.beside.source != 'none':
            pose = self.beside.pose(stamp_to_ns(header.stamp))
            no_pose = '' if pose else f'no pose on {self.beside.source} at its stamp'
        reason = self._lacks(no_pose) if no_pose else self._map(image, header, pose, clock)
        self.last_reason = reason or self.last_reason
        self.input.record.answered(clock.stage_ms, pose is not None, no_pose)

    def _map(self, image: RGB, header: Header, pose: Pose | None, clock: StageClock) -> str:
        """Why the image is no keyframe; empty if it became one."""
        assert self.live_map is not None
        stamp_ns = stamp_to_ns(header.stamp)
        if reason := self.live_map.reason_against(Moment(stamp_ns, pose)):
            return reason
        depth_m = self.beside.depth(stamp_ns) if self.beside.use_depth else None
        if depth_m is None and self.beside.use_depth:
            return self._lacks('no depth image at its stamp')
        clock.stop('wait')
        with self.in_use:
            shot = Shot(image, stamp_ns, pose, self.camera, depth_m)
            added = self.live_map.add(shot, self.traverse)
            clock.stop('add')
            self.told(added, header)
        return ''

    def _lacks(self, what: str) -> str:
        self.get_logger().warning(f'image not added: {what}', throttle_duration_sec=5.0)
        return what


def _opened(live_map: LiveMapper) -> str:
    place_map, config = live_map.place_map, live_map.config
    keeps = f'keeps {config.verification.detector} keypoints' if live_map.maker.detector else ''
    return f'{len(place_map)} keyframes in {place_map.folder}, method {config.method}, ' + (
        keeps or 'keeps no keypoints: no poses, no verified matches'
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the node until it is told to stop; 1 if it cannot start."""
    return run_lifecycle('mapper', Mapper, arguments)


if __name__ == '__main__':
    sys.exit(main())

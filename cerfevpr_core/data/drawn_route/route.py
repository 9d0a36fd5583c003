"""A street drawn by our own code, with exact poses, depth and four conditions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError
from ...geometry import Camera, Pose
from .centreline import Centreline
from .conditions import CONDITIONS, LOOKS, Look
from .furniture import park_cars
from .lighting import Light, Obstacles
from .panels import Parts
from .render import render
from .scene import Scene, build_scene
from .sky import look_up_sky, paint_sky
from .street import build_street
from .weather import develop

DEFAULT_CAMERA = Camera(320, 240, 205.0, 205.0, 159.5, 119.5)
CAMERA_HEIGHT_M, CAMERA_TILT_DEG = 1.6, 5.0  # tilted up: houses matter more than asphalt
SCENES_KEPT = 2  # a lit scene takes about 200 MB


class Viewpoint(NamedTuple):
    """Where a traverse drives: metres to the left of the route, degrees of yaw to the left."""

    lateral_m: float
    yaw_deg: float


VIEWPOINTS = {'centre': Viewpoint(0.0, 0.0), 'shifted': Viewpoint(1.5, -5.0)}


@dataclass(frozen=True)
class DrawnFrame:
    """`image` (H, W, 3) RGB; `depth_m` (H, W) float32, along the optical axis, inf for sky."""

    image: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    pose: Pose


class DrawnRoute:
    """A winding street of houses, trees and parked cars.

    A seed gives the same street under any condition and from any viewpoint; parked cars, clouds
    and noise differ between conditions. Frame n stands n * `spacing_m` along the route.
    """

    def __init__(
        self,
        seed: int = 0,
        num_frames: int = 160,
        spacing_m: float = 2.0,
        camera: Camera = DEFAULT_CAMERA,
    ) -> None:
        if num_frames < 1 or spacing_m <= 0:
            raise ConfigError(
                f'a drawn route of {num_frames} frames, {spacing_m} m apart: '
                'give at least one frame and a spacing above 0'
            )
        if any(camera.distortion):
            raise ConfigError('a drawn route needs a camera without distortion')
        self.seed, self.num_frames, self.spacing_m, self.camera = (
            seed,
            num_frames,
            spacing_m,
            camera,
        )
        rng = np.random.default_rng([seed, 0])
        self.line = Centreline(rng, num_frames * spacing_m)
        # From one side and a little from behind: one row of houses in the sun, one in the shade.
        self.sun_azimuth_rad = float(rng.choice([-1, 1]) * np.radians(rng.uniform(95, 140)))
        self.parts = build_street(seed, self.line)
        self._scenes: dict[str, tuple[Scene, NDArray[np.uint8]]] = {}

    def pose(self, number: int, lateral_m: float = 0.0, yaw_deg: float = 0.0) -> Pose:
        """The camera of a frame in the map, `lateral_m` and `yaw_deg` to the left of the route."""
        along = number * self.spacing_m
        heading = float(self.line.heading_rad(along)) + np.radians(yaw_deg)
        tilt = np.radians(CAMERA_TILT_DEG)
        forward = np.array(
            [np.cos(heading) * np.cos(tilt), np.sin(heading) * np.cos(tilt), np.sin(tilt)]
        )
        right = np.array([np.sin(heading), -np.cos(heading), 0.0])
        matrix = np.eye(4)
        matrix[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
        matrix[:3, 3] = self.line.world(along, lateral_m, CAMERA_HEIGHT_M)
        return Pose.from_matrix(matrix)

    def frame(
        self,
        number: int,
        condition: str = 'summer',
        lateral_m: float = 0.0,
        yaw_deg: float = 0.0,
    ) -> DrawnFrame:
        """One image with its depth and pose; the same arguments give the same image."""
        if not 0 <= number < self.num_frames:
            raise ConfigError(f'frame {number}: the route has frames 0 to {self.num_frames - 1}')
        scene, panorama = self._scene(condition)
        look = LOOKS[condition]
        pose = self.pose(number, lateral_m, yaw_deg)
        view = render(scene, self.camera, pose)
        sky = look_up_sky(panorama, self.camera, pose)
        rng = np.random.default_rng([self.seed, 2, look.number, number])
        image = develop(view, sky, look, scene.lamps, self.camera, pose, rng)
        return DrawnFrame(image, view.depth_m, pose)

    def _scene(self, condition: str) -> tuple[Scene, NDArray[np.uint8]]:
        if condition not in LOOKS:
            raise ConfigError(
                f'unknown condition {condition}: choose one of {", ".join(CONDITIONS)}'
            )
        if condition not in self._scenes:
            while len(self._scenes) >= SCENES_KEPT:
                del self._scenes[next(iter(self._scenes))]
            look = LOOKS[condition]
            self._scenes[condition] = (self._build(look), paint_sky(look, self.seed))
        return self._scenes[condition]

    def _build(self, look: Look) -> Scene:
        parts = self.parts
        parked = replace(parts, panels=list(parts.panels), boxes=list(parts.boxes))
        park_cars(parked, self.line, np.random.default_rng([self.seed, 3, look.number]))
        light = Light(look, _obstacles(parked), self.sun_azimuth_rad)
        return build_scene(parked, look, light)


def _obstacles(parts: Parts) -> Obstacles:
    return Obstacles(
        np.array(parts.boxes),
        np.array(parts.crowns).reshape(-1, 4),
        np.array(parts.lamps).reshape(-1, 3),
    )

"""How much light falls on a point: sun behind houses, the sky above, street lamps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .conditions import Look

Array = NDArray[np.float64]
REACH_M = 45.0  # nothing farther throws a shadow or a lamp's light
LAMP_POWER = 62.0
BRIGHTEST = 1.1  # the camera's exposure lets no lamp bleach what stands beneath it
LAMP_COLOUR = np.array([1.0, 0.76, 0.46])


@dataclass(frozen=True)
class Obstacles:
    """What light meets, in map metres.

    `boxes` (n, 7): centre x, y, heading, half length, half width, bottom, top.
    `crowns` (n, 4): centre x, y, z and radius. `lamps` (n, 3): x, y, z.
    """

    boxes: Array
    crowns: Array
    lamps: Array


class Light:
    """Light of one condition; answers are gains (n, 3) on a surface's painted colour."""

    def __init__(self, look: Look, obstacles: Obstacles, sun_azimuth_rad: float) -> None:
        self.look, self.obstacles = look, obstacles
        elevation = np.radians(look.sun_elevation_deg)
        level = np.cos(elevation)
        self.to_sun = np.array(
            [level * np.cos(sun_azimuth_rad), level * np.sin(sun_azimuth_rad), np.sin(elevation)]
        )

    def at(self, points: Array, normals: Array) -> Array:
        """Gains (n, 3) at points (n, 3) of surfaces with unit normals (n, 3) or (3,)."""
        normals = np.broadcast_to(normals, points.shape)
        centre = points.mean(axis=0)
        boxes = _near(self.obstacles.boxes, centre)
        local, floor = _in_boxes(points, boxes)
        openness = _openness(points, normals, local, floor)
        gain = openness[:, None] * np.array(self.look.ambient)
        if any(self.look.sun):
            gain = gain + self._sunlight(points, normals, boxes, centre)
        if self.look.lamps:
            gain = gain + self.look.lamps * self._lamplight(points, normals, centre)
        return gain

    def _sunlight(self, points: Array, normals: Array, boxes: Array, centre: Array) -> Array:
        facing = np.clip(normals @ self.to_sun, 0, 1)
        start = points + 0.05 * normals
        clear = ~_blocked_by_boxes(start, self.to_sun, boxes)
        crowns = _near(self.obstacles.crowns, centre)
        leaves = 0.75 if self.look.leaves else 0.2
        shade = 1 - leaves * _blocked_by_crowns(start, self.to_sun, crowns)
        return np.outer(facing * clear * shade, self.look.sun)

    def _lamplight(self, points: Array, normals: Array, centre: Array) -> Array:
        lamps = _near(self.obstacles.lamps, centre)
        way = lamps[None] - points[:, None]  # (n, lamps, 3)
        square = np.einsum('nlk,nlk->nl', way, way)
        distance = np.sqrt(square) + 1e-6
        facing = np.clip(np.einsum('nlk,nk->nl', way, normals) / distance, 0, 1) * 0.85 + 0.15
        downward = np.clip(way[..., 2] / distance + 0.35, 0.04, 1)  # shades keep light off the sky
        power = (LAMP_POWER * facing * downward / (square + 14)).sum(axis=1)
        return np.outer(BRIGHTEST * (1 - np.exp(-power / BRIGHTEST)), LAMP_COLOUR)


def _near(things: Array, centre: Array) -> Array:
    if not len(things):
        return things
    return things[np.hypot(*(things[:, :2] - centre[:2]).T) < REACH_M]


def _in_boxes(points: Array, boxes: Array) -> tuple[Array, Array]:
    """Distance (n, boxes) to each box's outline from above, and the boxes' bottoms."""
    x, y = _turned(points[:, None, :2] - boxes[None, :, :2], boxes[:, 2])
    outside = np.hypot(
        np.clip(np.abs(x) - boxes[:, 3], 0, None), np.clip(np.abs(y) - boxes[:, 4], 0, None)
    )
    return outside, boxes[:, 5]


def _turned(way: Array, heading: Array) -> tuple[Array, Array]:
    cos, sin = np.cos(heading), np.sin(heading)
    return way[..., 0] * cos + way[..., 1] * sin, way[..., 1] * cos - way[..., 0] * sin


def _openness(points: Array, normals: Array, distance: Array, floor: Array) -> Array:
    """Ambient occlusion: dark where ground and walls meet, and under cars."""
    upward = np.clip(normals[:, 2], 0, 1)
    nearest = np.where(points[:, 2:3] < floor + 0.6, distance, 9.0).min(axis=1, initial=9.0)
    ground = 1 - 0.5 * np.exp(-nearest / 0.7)
    wall = (1 - 0.32 * np.exp(-points[:, 2] / 0.9)) * (
        0.84 + 0.16 * np.clip(points[:, 2] / 14, 0, 1)
    )
    below = np.where(normals[:, 2] < -0.5, 0.5, 1.0)
    return (upward * ground + (1 - upward) * wall) * below


def _blocked_by_boxes(start: Array, way: Array, boxes: Array) -> NDArray[np.bool_]:
    """Slab test of rays (n) against all boxes."""
    x, y = _turned(start[:, None, :2] - boxes[None, :, :2], boxes[:, 2])
    step_x, step_y = _turned(np.broadcast_to(way[:2], (len(boxes), 2)), boxes[:, 2])
    near = np.full(x.shape, 1e-3)
    far = np.full(x.shape, np.inf)
    slabs = (
        (x, step_x, -boxes[:, 3], boxes[:, 3]),
        (y, step_y, -boxes[:, 4], boxes[:, 4]),
        (start[:, 2:3], np.array([way[2]]), boxes[:, 5], boxes[:, 6]),
    )
    for at, step, low, high in slabs:
        safe = np.where(np.abs(step) < 1e-9, 1e-9, step)
        one, other = (low - at) / safe, (high - at) / safe
        near, far = (
            np.maximum(near, np.minimum(one, other)),
            np.minimum(far, np.maximum(one, other)),
        )
    return np.asarray((near < far).any(axis=1))


def _blocked_by_crowns(start: Array, way: Array, crowns: Array) -> Array:
    """Share (n) of a ray's width that tree crowns cover."""
    if not len(crowns):
        return np.zeros(len(start))
    to_crown = crowns[None, :, :3] - start[:, None]
    along = to_crown @ way
    square = np.einsum('nck,nck->nc', to_crown, to_crown) - along**2
    cover = np.clip(1.3 - square / crowns[:, 3] ** 2, 0, 0.9) * (along > 0)
    return np.asarray(cover.max(axis=1))

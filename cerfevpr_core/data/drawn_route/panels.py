"""The flat pieces a street is built from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .canvas import Picture
from .conditions import Look

Array = NDArray[np.float64]
Size = tuple[float, float]


@dataclass(frozen=True)
class Texture:
    """A picture of `size_m` (width, height).

    `place` takes metres in the picture to the map where the picture hangs in one place only: its
    light is then painted in, point by point, with the unit `normal`. Pictures used in many places
    get one light for each panel.
    """

    size_m: Size
    paint: Callable[[Look], Picture]
    place: Callable[[Array, Array], Array] | None = None
    normal: tuple[float, float, float] = (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Panel:
    """A convex flat polygon: corners (4, 3) in the map and (4, 2) in metres of its texture.

    Seen from the side where the corners run clockwise, unless it is `two_sided`. A triangle
    repeats its last corner.
    """

    corners: Array
    picture_m: Array
    texture: str
    two_sided: bool = False
    ground: bool = False


@dataclass
class Parts:
    """Panels, textures and obstacles to light, as they are put together."""

    panels: list[Panel] = field(default_factory=list)
    textures: dict[str, Texture] = field(default_factory=dict)
    boxes: list[Array] = field(default_factory=list)  # see lighting.Obstacles
    crowns: list[Array] = field(default_factory=list)
    lamps: list[Array] = field(default_factory=list)
    crossings_m: list[float] = field(default_factory=list)  # zebra crossings along the street

    def quad(
        self,
        top_left: ArrayLike,
        top_right: ArrayLike,
        bottom_left: ArrayLike,
        texture: str,
        two_sided: bool = False,
        size_m: Size | None = None,
    ) -> None:
        """A parallelogram that shows the whole texture, or its upper left `size_m`."""
        corners = np.array([top_left, top_right, bottom_left, bottom_left], np.float64)
        corners[2] = corners[1] + corners[3] - corners[0]
        w, h = size_m or self.textures[texture].size_m
        picture = np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float64)
        self.panels.append(Panel(corners, picture, texture, two_sided))

    def wall(
        self,
        left: ArrayLike,
        right: ArrayLike,
        height_m: float,
        texture: str,
        size: Size | None = None,
    ) -> None:
        """A vertical quad over the base line from `left` to `right`, as its viewer sees them."""
        base_left, base_right = np.asarray(left, np.float64), np.asarray(right, np.float64)
        up = np.array([0, 0, height_m])
        self.quad(base_left + up, base_right + up, base_left, texture, size_m=size)

    def triangle(
        self, corners: Array, picture_m: Array, texture: str, ground: bool = False
    ) -> None:
        """Three corners, clockwise as their viewer sees them."""
        repeat = [0, 1, 2, 2]
        panel = Panel(corners[repeat], picture_m[repeat], texture, ground=ground)
        self.panels.append(panel)

    def block(self, box: Array, walls: str, top: str) -> None:
        """A box (x, y, heading, half length, half width, bottom, top), seen from outside."""
        corners = box_corners(box)
        height = box[6] - box[5]
        for i in range(4):
            self.wall(corners[i], corners[(i + 1) % 4], height, walls)
        up = np.array([0, 0, height])
        self.quad(corners[0] + up, corners[3] + up, corners[1] + up, top)
        if box[5] > 1.7:  # seen from below
            self.quad(corners[0], corners[1], corners[3], walls)


def box_corners(box: Array) -> Array:
    """Bottom corners (4, 3), anticlockwise from above: sides run left to right for a viewer."""
    x, y, heading, length, width, bottom, _ = box
    ahead = np.array([np.cos(heading), np.sin(heading), 0])
    left = np.array([-np.sin(heading), np.cos(heading), 0])
    centre = np.array([x, y, bottom])
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return np.array([centre + a * length * ahead + b * width * left for a, b in signs])

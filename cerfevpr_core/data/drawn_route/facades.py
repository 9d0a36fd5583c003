"""House fronts: what one looks like, and how it is painted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .canvas import Canvas, Picture
from .conditions import Colour, Look
from .walls import WALL_COLOURS, paint_wall
from .windows import WindowKind, paint_door, paint_glass, paint_shop, paint_window

FRONT_PX_PER_M = 20.0
SIDE_PX_PER_M = 12.0
TRIMS: tuple[Colour, ...] = ((236, 232, 222), (206, 200, 188), (150, 140, 128), (246, 242, 236))
PAINTS: tuple[Colour, ...] = (
    (176, 40, 36), (28, 74, 130), (30, 100, 66), (214, 160, 40), (60, 50, 48), (238, 234, 222),
    (120, 46, 92), (30, 132, 140), (200, 92, 34), (40, 40, 46),
)  # fmt: skip


@dataclass(frozen=True)
class House:
    """Everything about a house's looks; the same under any condition."""

    seed: int
    width_m: float
    num_storeys: int
    ground_m: float
    storey_m: float
    material: str
    colour: Colour
    trim: Colour
    paint: Colour  # of doors and shop fronts
    window: WindowKind
    bay_m: float
    ground_floor: str  # 'shop', 'arcade' or 'home'
    string_courses: bool
    quoins: bool
    bands: bool

    @property
    def height_m(self) -> float:
        """Ground to eaves."""
        return self.ground_m + (self.num_storeys - 1) * self.storey_m + 0.7


def draw_house(rng: np.random.Generator, width_m: float) -> House:
    """A house nobody has seen before."""
    material = str(rng.choice(list(WALL_COLOURS), p=[0.5, 0.27, 0.11, 0.12]))
    colours = WALL_COLOURS[material]
    colour = np.array(colours[rng.integers(len(colours))]) * rng.uniform(0.9, 1.06)
    storey = float(rng.uniform(2.8, 3.6))
    paint = PAINTS[rng.integers(len(PAINTS))]
    trim = TRIMS[rng.integers(len(TRIMS))]
    window = _draw_window(rng, storey, trim, paint)
    shutters = 1.1 if window.shutters else 0.0  # their width beside a window's
    return House(
        seed=int(rng.integers(1 << 31)),
        width_m=width_m,
        num_storeys=int(rng.choice([2, 3, 4, 5, 6], p=[0.16, 0.28, 0.28, 0.18, 0.1])),
        ground_m=float(rng.uniform(3.5, 4.6)),
        storey_m=storey,
        material=material,
        colour=(float(colour[0]), float(colour[1]), float(colour[2])),
        trim=trim,
        paint=paint,
        window=window,
        bay_m=window.width_m * (1 + shutters) + float(rng.uniform(0.7, 1.9)),
        ground_floor=str(rng.choice(['shop', 'arcade', 'home'], p=[0.5, 0.14, 0.36])),
        string_courses=bool(rng.random() < 0.5),
        quoins=bool(rng.random() < 0.3),
        bands=material == 'panels' and bool(rng.random() < 0.7),
    )


def _draw_window(
    rng: np.random.Generator, storey_m: float, trim: Colour, paint: Colour
) -> WindowKind:
    frames: tuple[Colour, ...] = ((240, 240, 236), (92, 62, 42), (50, 52, 56), (226, 220, 204))
    panes = ((2, 2), (1, 1), (2, 1), (3, 2), (2, 3), (1, 2))[rng.integers(6)]
    width = float(rng.uniform(0.85, 1.25)) * (1.35 if panes[0] == 3 else 1.0)
    return WindowKind(
        width_m=width * (1.4 if panes == (2, 1) else 1.0),
        height_m=min(storey_m - 1.1, float(rng.uniform(1.3, 2.2))),
        panes=panes,
        frame=frames[rng.integers(len(frames))],
        surround=trim if rng.random() < 0.6 else None,
        arched=bool(rng.random() < 0.14),
        shutters=paint if rng.random() < 0.16 else None,
    )


def window_columns(house: House) -> list[float]:
    """Left edges of the windows of an upper storey, in metres from the facade's left."""
    num = max(1, int((house.width_m - 0.8) / house.bay_m))
    pitch = house.width_m / num
    return [pitch * (i + 0.5) - house.window.width_m / 2 for i in range(num)]


def storey_tops(house: House) -> list[float]:
    """Window heads of the upper storeys, in metres below the eaves, lowest storey first."""
    head = (house.storey_m - house.window.height_m) * 0.42
    return [
        0.7 + house.storey_m * (house.num_storeys - 2 - i) + head
        for i in range(house.num_storeys - 1)
    ]


def paint_front(house: House, look: Look) -> Picture:
    """The side that faces the street, (height, width) of the house."""
    rng = np.random.default_rng(house.seed)
    canvas = Canvas(house.width_m, house.height_m, FRONT_PX_PER_M, house.colour)
    paint_wall(canvas, house.material, house.storey_m, rng)
    _paint_trim(canvas, house)
    panes = np.random.default_rng([house.seed, 1])
    for top in storey_tops(house):
        if house.bands:
            canvas.shade(0, top - 0.1, house.width_m, top + house.window.height_m + 0.1, 0.7)
        for left in window_columns(house):
            paint_window(canvas, left, top, house.window, look, panes)
    _paint_ground_floor(canvas, house, look)
    canvas.shade(0, house.height_m - 0.25, house.width_m, house.height_m, 0.75)
    return canvas.finish()


def _paint_trim(canvas: Canvas, house: House) -> None:
    w, h = house.width_m, house.height_m
    canvas.box(0, 0, w, 0.32, house.trim)
    canvas.shade(0, 0.32, w, 0.62, 0.62)
    if house.string_courses:
        for storey in range(house.num_storeys - 1):
            y = 0.7 + house.storey_m * (storey + 1)
            canvas.box(0, y - 0.12, w, y + 0.1, house.trim)
            canvas.shade(0, y + 0.1, w, y + 0.24, 0.7)
    if house.quoins:
        for row, y in enumerate(np.arange(0.7, h - house.ground_m, 0.4)):
            length = 0.75 if row % 2 else 0.45
            canvas.box(0, y, length, y + 0.36, house.trim)
            canvas.box(w - length, y, w, y + 0.36, house.trim)
    pipe = 0.15 if house.seed % 2 else w - 0.28
    canvas.box(pipe, 0.5, pipe + 0.13, h, (86, 88, 90))


def _paint_ground_floor(canvas: Canvas, house: House, look: Look) -> None:
    rng = np.random.default_rng([house.seed, 2])
    w, top = house.width_m, house.height_m - house.ground_m
    door_w, door_h = 1.15 + 0.4 * float(rng.random()), 2.35
    if house.ground_floor == 'shop':
        door_first = rng.random() < 0.5
        shop_w = w - door_w - 1.5
        shop_x = door_w + 1.1 if door_first else 0.4
        paint_shop(canvas, shop_x, shop_w, house.ground_m - 0.35, house.paint, look, rng)
        door_x = 0.55 if door_first else w - door_w - 0.55
    else:
        base = tuple(np.array(house.colour) * 0.62)
        if house.ground_floor == 'arcade':
            canvas.box(0, top + 0.4, w, house.height_m, base)
        columns = window_columns(house)
        door = int(rng.integers(len(columns)))
        height = min(house.window.height_m, house.ground_m - 1.9)
        for i, left in enumerate(columns):
            if i != door:
                _paint_ground_window(canvas, house, left, top + 0.9, height, look, rng)
        door_x = columns[door] + (house.window.width_m - door_w) / 2
        canvas.shade(0, house.height_m - 0.8, w, house.height_m, 0.72)
    paint_door(
        canvas, float(np.clip(door_x, 0.2, w - door_w - 0.2)), door_w, door_h, house.paint, look
    )


def _paint_ground_window(
    canvas: Canvas,
    house: House,
    x: float,
    y: float,
    height: float,
    look: Look,
    rng: np.random.Generator,
) -> None:
    if house.ground_floor == 'home':
        paint_window(canvas, x, y, replace(house.window, height_m=height), look, rng)
        return
    w = house.window.width_m  # an arcade: dark openings under round arches
    canvas.disc(x + w / 2, y + 0.35, w / 2 + 0.15, (54, 54, 58))
    canvas.box(x - 0.15, y + 0.35, x + w + 0.15, house.height_m - 0.1, (54, 54, 58))
    paint_glass(canvas, x + 0.1, y + 0.5, w - 0.2, height, look, rng)


def paint_side(house: House, width_m: float, look: Look, with_windows: bool) -> Picture:
    """A wall beside a neighbour or a side street, (height of the house, `width_m`)."""
    rng = np.random.default_rng([house.seed, 3])
    colour = tuple(np.array(house.colour) * 0.9)
    canvas = Canvas(width_m, house.height_m, SIDE_PX_PER_M, colour)
    paint_wall(canvas, house.material, house.storey_m, rng)
    if with_windows:
        for top in storey_tops(house):
            for left in np.arange(1.4, width_m - 2.0, house.bay_m * 1.4):
                paint_window(canvas, float(left), top, house.window, look, rng)
    _paint_mural(canvas, house, width_m, rng, with_windows)
    return canvas.finish()


def _paint_mural(
    canvas: Canvas, house: House, width_m: float, rng: np.random.Generator, with_windows: bool
) -> None:
    """Advertising or graffiti, which half of the bare walls have."""
    if with_windows or rng.random() < 0.4:
        return
    y = float(rng.uniform(0.8, max(0.9, house.height_m - 6)))
    canvas.box(2, y, width_m - 2, y + 4.2, PAINTS[rng.integers(len(PAINTS))])
    for _ in range(3):
        x, radius = rng.uniform(3, width_m - 3), rng.uniform(0.5, 1.3)
        canvas.disc(x, y + rng.uniform(1.3, 3), radius, PAINTS[rng.integers(len(PAINTS))])
    canvas.shade(0, house.height_m - 0.8, width_m, house.height_m, 0.75)

"""A house as panels: walls, roof, cornice, balconies, awning, sign and chimneys."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from .canvas import Picture
from .conditions import Look
from .facades import PAINTS, TRIMS, House, paint_front, paint_side, storey_tops, window_columns
from .panels import Panel, Parts, Texture
from .props import ROOFS, plain

Array = NDArray[np.float64]
UP = np.array([0.0, 0.0, 1.0])


class Site:
    """Where a house stands: its front from `left` to `right` (3,) as seen from the street."""

    def __init__(self, left: Array, right: Array, depth_m: float) -> None:
        self.left, self.right, self.depth_m = left, right, depth_m
        self.width_m = float(np.linalg.norm(right - left))
        self.along = (right - left) / self.width_m
        self.out = np.cross(self.along, UP)  # towards the street

    def at(self, x: float, up: float = 0.0, out: float = 0.0) -> Array:
        """A point `x` metres from the front's left, `up` above ground, `out` before the front."""
        return np.asarray(self.left + x * self.along + up * UP + out * self.out)

    def box(self, height_m: float) -> Array:
        """The house as an obstacle to light."""
        centre = self.at(self.width_m / 2, 0, -self.depth_m / 2)
        heading = np.arctan2(self.along[1], self.along[0])
        half = (self.width_m / 2, self.depth_m / 2)
        return np.array([centre[0], centre[1], heading, *half, 0, height_m])


def add_house(
    parts: Parts, name: str, house: House, site: Site, free_sides: tuple[bool, bool]
) -> None:
    """Build a house; `free_sides` (left, right) are the walls that face a side street."""
    height, w = house.height_m, site.width_m
    _add_wall(parts, f'{name}front', site.at(0), site.at(w), height, partial(paint_front, house))
    ends = (
        ('left', site.at(0, 0, -site.depth_m), site.at(0), free_sides[0]),
        ('right', site.at(w), site.at(w, 0, -site.depth_m), free_sides[1]),
    )
    for side, start, stop, free in ends:
        paint = partial(_side, house, site.depth_m, free)
        _add_wall(parts, f'{name}{side}', start, stop, height, paint)
    parts.boxes.append(site.box(height))
    rng = np.random.default_rng([house.seed, 9])
    if house.bands or rng.random() < 0.3:
        _add_cornice(parts, house, site, 0.18)
    else:
        _add_gable(parts, name, house, site, rng)
    _add_details(parts, name, house, site, rng)


def _side(house: House, width_m: float, free: bool, look: Look) -> Picture:
    return paint_side(house, width_m, look, free)


def _add_wall(
    parts: Parts, name: str, left: Array, right: Array, height_m: float, paint: partial[Picture]
) -> None:
    """A wall whose picture hangs nowhere else."""
    width = float(np.linalg.norm(right - left))
    along = (right - left) / width

    def place(x: Array, y: Array) -> Array:
        return np.asarray(left + x[..., None] * along + (height_m - y)[..., None] * UP)

    nx, ny, nz = np.cross(along, UP)
    parts.textures[name] = Texture((width, height_m), paint, place, (nx, ny, nz))
    parts.wall(left, right, height_m, name)


def _add_cornice(parts: Parts, house: House, site: Site, out_m: float) -> None:
    top, low, w = house.height_m + 0.12, house.height_m - 0.3, site.width_m
    name = f'trim{TRIMS.index(house.trim)}'
    parts.quad(site.at(0, top, out_m), site.at(w, top, out_m), site.at(0, low, out_m), name)
    parts.quad(site.at(0, low, out_m), site.at(w, low, out_m), site.at(0, low, 0), name)
    for x, near, far in ((0.0, 0.0, out_m), (w, out_m, 0.0)):
        parts.quad(site.at(x, top, near), site.at(x, top, far), site.at(x, low, near), name)


def _add_gable(
    parts: Parts, name: str, house: House, site: Site, rng: np.random.Generator
) -> None:
    w, h, half = site.width_m, house.height_m, site.depth_m / 2
    rise = half * float(rng.uniform(0.45, 0.85))
    tiles = f'roof{rng.integers(len(ROOFS))}'
    eaves, lip = 0.35, 0.35 * rise / half
    slope = float(np.hypot(half + eaves, rise + lip))
    ridge = (site.at(0, h + rise, -half), site.at(w, h + rise, -half))
    foot = site.at(0, h - lip, eaves)
    corners = np.array([ridge[0], ridge[1], site.at(w, h - lip, eaves), foot])
    picture = np.array([[0, 0], [6, 0], [6, 4], [0, 4]]) * (min(1, w / 6), min(1, slope / 4))
    parts.panels.append(Panel(corners, picture, tiles))
    parts.quad(foot, corners[2], site.at(0, h - lip, 0), 'wood')
    full = site.depth_m
    triangle = np.array([[0, rise], [full / 2, 0], [full, rise]])
    for side, x, near, far in (('left', 0.0, -full, 0.0), ('right', w, 0.0, -full)):
        gable = np.array([site.at(x, h, near), ridge[0 if x == 0 else 1], site.at(x, h, far)])
        parts.triangle(gable, triangle, f'{name}{side}')
    for x in rng.uniform(1.5, w - 1.5, rng.integers(0, 3)):
        spot = site.at(float(x), 0, -half * 0.7)
        box = [spot[0], spot[1], 0, 0.4, 0.4, h + 0.5 * rise, h + rise + 1.0]
        parts.block(np.array(box), 'chimney', 'chimney')


def _add_details(
    parts: Parts, name: str, house: House, site: Site, rng: np.random.Generator
) -> None:
    if house.material in ('stone', 'plaster') and rng.random() < 0.5:
        _add_cornice(parts, house, site, 0.4)
    if rng.random() < 0.3 and house.num_storeys > 2:
        _add_balconies(parts, house, site, rng)
    if house.ground_floor == 'shop' and rng.random() < 0.5:
        _add_awning(parts, house, site)
    if rng.random() < (0.75 if house.ground_floor == 'shop' else 0.2):
        x, low = float(rng.uniform(0.15, 0.85)) * site.width_m, house.ground_m - 0.6
        sign = f'blade{rng.integers(24)}'
        top = low + 1.9
        parts.quad(site.at(x, top, 0.2), site.at(x, top, 1.1), site.at(x, low, 0.2), sign)
        parts.quad(site.at(x, top, 1.1), site.at(x, top, 0.2), site.at(x, low, 1.1), sign)


def _add_balconies(parts: Parts, house: House, site: Site, rng: np.random.Generator) -> None:
    columns = window_columns(house)
    chosen = rng.permutation(len(columns))[: min(2, len(columns))]
    w = house.window.width_m + 0.9
    for top in storey_tops(house)[:4]:
        floor = house.height_m - top - house.window.height_m - 0.15
        for column in chosen:
            x = columns[column] - 0.45
            _add_balcony(parts, site, x, w, floor)


def _add_balcony(parts: Parts, site: Site, x: float, w: float, floor: float) -> None:
    deep, slab, rail = 1.0, 0.16, 1.0
    low = floor - slab
    parts.quad(site.at(x, floor, deep), site.at(x + w, floor, deep), site.at(x, low, deep), 'kerb')
    parts.quad(site.at(x, low, deep), site.at(x + w, low, deep), site.at(x, low, 0), 'kerb')
    runs = ((x, 0.0, x, deep), (x, deep, x + w, deep), (x + w, deep, x + w, 0.0))
    for x0, out0, x1, out1 in runs:
        size = (min(3.0, float(np.hypot(x1 - x0, out1 - out0))), 1.0)
        start, stop = site.at(x0, floor + rail, out0), site.at(x1, floor + rail, out1)
        parts.quad(start, stop, site.at(x0, floor, out0), 'railing', two_sided=True, size_m=size)
        if x0 == x1:
            ends = (site.at(x0, floor, out0), site.at(x1, floor, out1), site.at(x0, low, out0))
            parts.quad(*ends, 'kerb')


def _add_awning(parts: Parts, house: House, site: Site) -> None:
    top, low, out = house.ground_m - 0.9, house.ground_m - 1.45, 1.3
    start, stop = 0.12 * site.width_m, 0.88 * site.width_m
    cloth = f'awning{PAINTS.index(house.paint)}'
    parts.quad(
        site.at(start, top, 0),
        site.at(stop, top, 0),
        site.at(start, low, out),
        cloth,
        two_sided=True,
    )
    hem = low - 0.25
    parts.quad(
        site.at(start, low, out), site.at(stop, low, out), site.at(start, hem, out), cloth,
        two_sided=True,
    )  # fmt: skip


def trim_textures() -> dict[str, Texture]:
    """Cornices, one for each colour of trim."""
    return {
        f'trim{i}': Texture((4, 0.5), partial(plain, (4, 0.5), colour))
        for i, colour in enumerate(TRIMS)
    }

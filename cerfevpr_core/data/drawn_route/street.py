"""What stands where along the route; the same street under any condition."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from . import ground
from .centreline import AFTER_M, BEFORE_M, Centreline
from .facades import House, draw_house, paint_front
from .furniture import add_furniture
from .ground import AXIS_M, EDGE_M, FRONT_M, KERB_HEIGHT_M, KERB_M, PIECE_M
from .houses import Site, add_house, trim_textures
from .panels import Parts, Texture
from .props import blade_sign, shared_pictures

Array = NDArray[np.float64]
STRIP_M = 4.0  # the ground's panels are this long: short enough to follow the bends
NUM_FAR_FRONTS = 8


def build_street(seed: int, line: Centreline) -> Parts:
    """Ground, houses and street furniture, without parked cars."""
    rng = np.random.default_rng([seed, 1])
    parts = Parts()
    for name, (size, paint) in shared_pictures().items():
        parts.textures[name] = Texture(size, paint)
    for number in range(24):
        parts.textures[f'blade{number}'] = Texture((0.9, 1.9), partial(blade_sign, number))
    parts.textures.update(trim_textures())
    for side in (1, -1):
        parts.crossings_m += _add_row(parts, line, side, rng)
    _add_ground(parts, line, seed)
    _add_far_houses(parts, line, rng)
    add_furniture(parts, line, rng)
    return parts


def _add_row(parts: Parts, line: Centreline, side: int, rng: np.random.Generator) -> list[float]:
    """Houses along one side; returns where its side streets are."""
    along, crossings, free = -BEFORE_M, [], True
    end = line.length_m + AFTER_M - 6
    while along < end:
        width = float(rng.uniform(8.5, 17))
        setback = float(rng.choice([0.0, 0.0, 0.6, 1.5, 4.0]))
        depth = float(rng.uniform(10, 13))
        gap = float(rng.choice([0, 0, 3.0, 9.0], p=[0.5, 0.18, 0.18, 0.14]))
        site = _site(line, side, along, along + width, FRONT_M + setback, depth)
        house = draw_house(rng, site.width_m)
        free_ends = (free, gap > 1) if side > 0 else (gap > 1, free)
        add_house(parts, f'house{side}:{len(parts.boxes)}', house, site, free_ends)
        along += width
        if gap > 6 and along < end:
            crossings.append(along + gap / 2)
        if 1 < gap < 6:
            fence = _site(line, side, along, along + gap, FRONT_M + 0.6, 1)
            parts.wall(fence.at(0), fence.at(fence.width_m), 2.1, 'hedge')
        along, free = along + gap, gap > 1
    return crossings


def _site(
    line: Centreline, side: int, start: float, stop: float, from_axis_m: float, depth_m: float
) -> Site:
    ends = line.world([start, stop], AXIS_M + side * from_axis_m)
    left, right = (ends[0], ends[1]) if side > 0 else (ends[1], ends[0])
    return Site(left, right, depth_m)


def _add_ground(parts: Parts, line: Centreline, seed: int) -> None:
    end = line.length_m + AFTER_M
    for start in np.arange(-BEFORE_M, end, PIECE_M):
        zebras = [at for at in parts.crossings_m if start - 3 < at < start + PIECE_M + 3]
        paint = partial(ground.paint_ground, float(start), zebras, seed)

        def place(x: Array, y: Array, top: float = float(start + PIECE_M)) -> Array:
            return line.world(top - y, AXIS_M + EDGE_M - x)

        parts.textures[f'ground{start}'] = Texture((2 * EDGE_M, PIECE_M), paint, place)
        for along in np.arange(start, min(start + PIECE_M, end), STRIP_M):
            _add_strips(parts, line, float(along), float(start))


def _add_strips(parts: Parts, line: Centreline, along: float, start: float) -> None:
    """Carriageway, two pavements and their kerbs, over one length of `STRIP_M`."""
    name, high = f'ground{start}', KERB_HEIGHT_M
    strips = ((EDGE_M, KERB_M, high), (KERB_M, -KERB_M, 0.0), (-KERB_M, -EDGE_M, high))
    far, top = along + STRIP_M, start + PIECE_M
    for left, right, up in strips:
        street = np.array([[far, left], [far, right], [along, right], [along, left]])
        corners = line.world(street[:, 0], AXIS_M + street[:, 1], up)
        picture = np.stack([EDGE_M - street[:, 1], top - street[:, 0]], axis=1)
        for three in ([0, 1, 3], [1, 2, 3]):  # triangles: their pictures join without a seam
            parts.triangle(corners[three], picture[three], name, ground=True)
    for side, (near, away) in ((1, (along, far)), (-1, (far, along))):
        ends = line.world([near, away], AXIS_M + side * KERB_M)
        parts.wall(ends[0], ends[1], high, 'kerb', (4, high))
    for side in (1, -1):
        if round(along - start) % 16 == 0:
            _add_yard(parts, line, along, side)


def _add_yard(parts: Parts, line: Centreline, along: float, side: int) -> None:
    """Bare ground beyond the pavement, seen through gaps and side streets."""
    near, away = side * EDGE_M, side * 70
    left, right = (away, near) if side > 0 else (near, away)
    far = along + 16
    street = np.array([[far, left], [far, right], [along, right], [along, left]])
    corners = line.world(street[:, 0], AXIS_M + street[:, 1], KERB_HEIGHT_M - 0.02)
    picture = np.array([[0, 0], [16, 0], [16, 32], [0, 32]], np.float64)
    for three in ([0, 1, 3], [1, 2, 3]):
        parts.triangle(corners[three], picture[three], 'yard')


def _add_far_houses(parts: Parts, line: Centreline, rng: np.random.Generator) -> None:
    """A second row behind the first, and a house across the street's end."""
    designs = [draw_house(rng, 14.0) for _ in range(NUM_FAR_FRONTS)]
    for i, house in enumerate(designs):
        parts.textures[f'far{i}'] = Texture(
            (house.width_m, house.height_m), partial(paint_front, house)
        )
    end = line.length_m + AFTER_M
    for side in (1, -1):
        along = -BEFORE_M
        while along < end:
            width, away = float(rng.uniform(12, 20)), float(rng.uniform(30, 46))
            site = _site(line, side, along, along + width, away, 12)
            _add_far_house(parts, designs, site, float(rng.uniform(1.0, 1.7)), rng)
            along += width + float(rng.choice([0, 0, 6, 12]))
    for left in (24, 8, -8, -24):
        ends = line.world(end - 5, AXIS_M + np.array([left + 8, left - 8]))
        _add_far_house(parts, designs, Site(ends[0], ends[1], 12), 1.0, rng)


def _add_far_house(
    parts: Parts, designs: list[House], site: Site, taller: float, rng: np.random.Generator
) -> None:
    number = int(rng.integers(len(designs)))
    height = designs[number].height_m * taller
    back = -site.depth_m
    w = site.width_m
    runs = ((w, back, 0, back), (0, back, 0, 0), (0, 0, w, 0), (w, 0, w, back))
    for x0, out0, x1, out1 in runs:
        parts.wall(site.at(x0, 0, out0), site.at(x1, 0, out1), height, f'far{number}')
    if rng.random() < 0.6:
        middle, rise = -site.depth_m / 2, 4.0
        ridge = (site.at(0, height + rise, middle), site.at(w, height + rise, middle))
        parts.quad(*ridge, site.at(0, height, 0.3), f'roof{number % 4}')
        for x, near, far in ((0.0, back, 0.0), (w, 0.0, back)):
            top = ridge[0] if x == 0 else ridge[1]
            gable = np.array([site.at(x, height, near), top, site.at(x, height, far)])
            parts.triangle(gable, np.array([[0, 3.0], [6, 0.5], [12, 3.0]]), f'far{number}')

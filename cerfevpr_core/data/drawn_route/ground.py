"""Carriageway and pavements, painted as seen from above, in pieces along the street."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .canvas import FINER, Canvas, Picture, clouds, noise
from .conditions import Colour, Look

# Across the street, metres to the left of the carriageway's axis.
AXIS_M = 0.75  # the axis lies left of the route, so that a traverse drives in the right lane
LANE_M, KERB_M, FRONT_M, EDGE_M = 3.0, 5.1, 8.3, 9.0
KERB_HEIGHT_M = 0.12
PIECE_M = 48.0  # length of a painted piece
BAY_M = 5.6  # a parked car's place
PX_PER_M = 20.0


def paint_ground(start_m: float, crossings_m: list[float], seed: int, look: Look) -> Picture:
    """Ground from `start_m` on: top row farthest, left column at the street's left edge.

    `crossings_m` are the places along the street that have a zebra crossing.
    """
    rng = np.random.default_rng([seed, 4, int(start_m + 1000)])
    canvas = Canvas(2 * EDGE_M, PIECE_M, PX_PER_M, (96, 97, 99))
    slabs = np.array((168, 162, 154)) * np.random.default_rng(seed).uniform(0.95, 1.05, 3)
    _paint_carriageway(canvas, rng)
    _paint_markings(canvas, start_m, crossings_m)
    _paint_pavement(canvas, (float(slabs[0]), float(slabs[1]), float(slabs[2])), rng)
    if look.snow:
        _lay_snow(canvas, rng)
    if look.wet:
        _wet(canvas, rng)
    return canvas.finish()


def _paint_carriageway(canvas: Canvas, rng: np.random.Generator) -> None:
    shape = (canvas.height_px // FINER, canvas.width_px // FINER)
    px = float(canvas.scale[0]) / FINER
    gain = 0.07 * clouds(shape, 5 * px, 3, rng) + 0.09 * noise(shape, (1, 1), rng)
    gain += 0.05 * noise(shape, (16 * px, 0.8 * px), rng)  # wheel tracks
    canvas.texture(1 + _faded(gain))
    for _ in range(4):  # mended patches
        x, y = rng.uniform(4, 13), rng.uniform(0, PIECE_M - 5)
        w, h = rng.uniform(0.6, 2.0), rng.uniform(1.0, 5.0)
        canvas.shade(x, y, x + w, y + h, float(rng.uniform(0.75, 0.9)))
    for _ in range(3):  # manholes
        x, y = EDGE_M + rng.uniform(-2.6, 2.6), rng.uniform(1, PIECE_M - 1)
        canvas.disc(x, y, 0.36, (62, 60, 58))
        canvas.disc(x, y, 0.3, (84, 80, 76))
    for _ in range(5):  # cracks filled with tar
        x, y = rng.uniform(4, 14), rng.uniform(0, PIECE_M)
        walk = np.cumsum(rng.normal(0, 0.35, (9, 2)), axis=0) + np.array([x, y])
        canvas.line([(float(a), float(b)) for a, b in walk], 0.05, (66, 66, 68))


def _faded(pattern: NDArray[np.float32]) -> NDArray[np.float32]:
    """A pattern that is nothing at both ends of the piece, so that the next piece continues it."""
    rows = pattern.shape[0]
    from_end = (0.5 + np.minimum(np.arange(rows), np.arange(rows)[::-1])) * PIECE_M / rows
    return pattern * np.clip(from_end / 3, 0, 1).astype(np.float32)[:, None]


def _paint_markings(canvas: Canvas, start_m: float, crossings_m: list[float]) -> None:
    white: Colour = (214, 214, 208)
    end_m = start_m + PIECE_M

    def stripe(left_m: float, right_m: float, from_m: float, to_m: float) -> None:
        canvas.box(EDGE_M - left_m, end_m - to_m, EDGE_M - right_m, end_m - from_m, white)

    for along in np.arange(np.floor(start_m / 7) * 7, end_m, 7):
        stripe(0.07, -0.07, along, along + 3)
    for along in np.arange(np.floor(start_m / BAY_M) * BAY_M, end_m, BAY_M):
        stripe(KERB_M - 0.1, LANE_M, along - 0.06, along + 0.06)
        stripe(-LANE_M, -KERB_M + 0.1, along - 0.06, along + 0.06)
    for side in (-1, 1):
        stripe(side * LANE_M + 0.05, side * LANE_M - 0.05, start_m, end_m)
    for along in crossings_m:
        canvas.shade(EDGE_M - 5, end_m - along - 2, EDGE_M + 5, end_m - along + 2, 0.92)
        for left in np.arange(-4.7, 4.8, 1.0):
            stripe(left + 0.27, left - 0.27, along - 1.8, along + 1.8)


def _paint_pavement(canvas: Canvas, slabs: Colour, rng: np.random.Generator) -> None:
    shape = (canvas.height_px, canvas.width_px)
    width = EDGE_M - KERB_M
    grain = 1 + _faded(0.05 * noise(shape, (3, 3), rng) + 0.07 * clouds(shape, 100, 3, rng))
    for x0 in (0.0, EDGE_M + KERB_M):
        canvas.box(x0, 0, x0 + width, PIECE_M, slabs)
        columns = canvas.window(x0, 0, x0 + width, PIECE_M)
        tones = rng.uniform(0.9, 1.06, (int(PIECE_M / 0.6), int(width / 0.6)))
        rows = np.linspace(0, tones.shape[0] - 0.01, shape[0]).astype(int)
        cells = np.linspace(0, tones.shape[1] - 0.01, columns[1].stop - columns[1].start)
        gain = grain[columns] * tones[rows][:, cells.astype(int)]
        canvas.colour[columns] = np.clip(canvas.colour[columns] * gain[..., None], 0, 255)
        for y in np.arange(0, PIECE_M, 0.6):
            canvas.shade(x0, y, x0 + width, y + 0.04, 0.75)
        for x in np.arange(x0, x0 + width, 0.6):
            canvas.shade(x, 0, x + 0.04, PIECE_M, 0.8)
    for side in (-1, 1):
        kerb = EDGE_M + side * (KERB_M + 0.1)
        canvas.box(kerb - 0.1, 0, kerb + 0.1, PIECE_M, (178, 176, 170))
        gutter = EDGE_M + side * (KERB_M - 0.15)
        canvas.shade(gutter - 0.15, 0, gutter + 0.15, PIECE_M, 0.78)


def _lay_snow(canvas: Canvas, rng: np.random.Generator) -> None:
    """Snow everywhere, thin where wheels and feet have been."""
    shape = (canvas.height_px, canvas.width_px)
    left = EDGE_M - (np.arange(shape[1]) + 0.5) / canvas.scale[0]
    ruts = sum(np.exp(-(((left - at) / 0.42) ** 2)) for at in (-2.2, -0.75, 0.75, 2.2))
    walked = sum(0.55 * np.exp(-(((left - at) / 0.8) ** 2)) for at in (-6.8, 6.8))
    px = float(canvas.scale[0])
    patches = 0.35 * clouds(shape, 2 * px, 4, rng) + 0.2 * noise(shape, (8 * px, 0.4 * px), rng)
    depth = np.clip(1.12 - 0.85 * ruts - walked + _faded(patches), 0.08, 1)[..., None]
    white = np.array((232, 236, 243)) * (1 + _faded(0.05 * clouds(shape, 30, 4, rng)))[..., None]
    canvas.colour = np.clip(depth * white + (1 - depth) * 0.8 * canvas.colour, 0, 255).astype(
        np.uint8
    )


def _wet(canvas: Canvas, rng: np.random.Generator) -> None:
    shape = (canvas.height_px, canvas.width_px)
    canvas.texture(0.62 + _faded(0.1 * clouds(shape, 3 * float(canvas.scale[0]), 3, rng)))

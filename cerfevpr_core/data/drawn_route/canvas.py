"""Painting a flat surface in metres."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .conditions import Colour

FINER = 2  # painted at twice the texture's resolution, then averaged: clean edges
BLOCK_PX = 16  # texture sides are multiples of this, so that they halve exactly four times


class Picture(NamedTuple):
    """A painted surface: `colour` (h, w, 3), `glow` (h, w) its own light, `cover` (h, w) opaque.

    All uint8. `cover` is None where the whole rectangle is solid.
    """

    colour: NDArray[np.uint8]
    glow: NDArray[np.uint8]
    cover: NDArray[np.uint8] | None = None


class Canvas:
    """x to the right and y down from the top left corner, in metres."""

    def __init__(
        self, width_m: float, height_m: float, px_per_m: float, colour: Colour = (128, 128, 128)
    ) -> None:
        self.width_m, self.height_m = width_m, height_m
        self.width_px, self.height_px = (
            FINER * BLOCK_PX * max(1, round(side * px_per_m / BLOCK_PX))
            for side in (width_m, height_m)
        )
        self.scale = np.array([self.width_px / width_m, self.height_px / height_m])
        self.colour = np.full((self.height_px, self.width_px, 3), colour, np.uint8)
        self.glow = np.zeros((self.height_px, self.width_px), np.uint8)
        self.cover: NDArray[np.uint8] | None = None

    def finish(self) -> Picture:
        """The painting at the texture's own resolution."""
        size = (self.width_px // FINER, self.height_px // FINER)

        def averaged(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)

        cover = None if self.cover is None else averaged(self.cover)
        return Picture(averaged(self.colour), averaged(self.glow), cover)

    def window(self, x0: float, y0: float, x1: float, y1: float) -> tuple[slice, slice]:
        """Rows and columns of a rectangle, cut to the canvas."""
        across, down = float(self.scale[0]), float(self.scale[1])
        left, right = (min(max(round(x * across), 0), self.width_px) for x in (x0, x1))
        top, bottom = (min(max(round(y * down), 0), self.height_px) for y in (y0, y1))
        return slice(top, bottom), slice(left, right)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour, glow: int = 0
    ) -> None:
        """A filled rectangle."""
        window = self.window(x0, y0, x1, y1)
        self.colour[window] = [min(max(int(c), 0), 255) for c in colour]
        self.glow[window] = glow

    def shade(self, x0: float, y0: float, x1: float, y1: float, gain: float) -> None:
        """Darken (gain below 1) or lighten a rectangle."""
        part = self.colour[self.window(x0, y0, x1, y1)]
        if part.size:
            part[:] = cv2.convertScaleAbs(part, alpha=gain)

    def texture(self, gain: NDArray[np.float32]) -> None:
        """Multiply the whole painting by a pattern (h, w), stretched over it."""
        size = (self.width_px, self.height_px)
        fine = cv2.resize(gain, size, interpolation=cv2.INTER_NEAREST)
        self.colour = np.asarray(
            cv2.multiply(self.colour, cv2.merge([fine] * 3), dtype=cv2.CV_8U), np.uint8
        )

    def points(self, points_m: list[tuple[float, float]]) -> NDArray[np.int32]:
        """Metres to the fixed-point pixels that OpenCV draws with (`shift=4`)."""
        return np.rint(np.array(points_m) * self.scale * 16).astype(np.int32)

    def polygon(self, points_m: list[tuple[float, float]], colour: Colour, glow: int = 0) -> None:
        """A filled convex polygon."""
        points = self.points(points_m)
        cv2.fillConvexPoly(self.colour, points, [float(c) for c in colour], cv2.LINE_AA, 4)
        cv2.fillConvexPoly(self.glow, points, [float(glow)], cv2.LINE_AA, 4)

    def disc(self, x: float, y: float, radius: float, colour: Colour, glow: int = 0) -> None:
        """A filled circle."""
        turns = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        ring = [(x + radius * float(np.cos(t)), y + radius * float(np.sin(t))) for t in turns]
        self.polygon(ring, colour, glow)

    def line(self, points_m: list[tuple[float, float]], width_m: float, colour: Colour) -> None:
        """A line through the points."""
        width = max(1, round(width_m * float(self.scale.min())))
        points = [self.points(points_m)]
        cv2.polylines(self.colour, points, False, list(colour), width, cv2.LINE_AA, 4)

    def text(self, text: str, x: float, y: float, height: float, colour: Colour) -> None:
        """Letters whose top left corner is x, y; `height` of a capital letter in metres."""
        size = height * float(self.scale[1]) / 21.0  # Hershey capitals are 21 units high
        at = (round(x * float(self.scale[0])), round((y + height) * float(self.scale[1])))
        thick = max(1, round(size * 3.2))
        cv2.putText(
            self.colour, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, list(colour), thick, cv2.LINE_AA
        )


def text_width(text: str, height: float) -> float:
    """Metres that `Canvas.text` needs for a text."""
    size, _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 3)
    return size[0] / 21.0 * height


def noise(
    shape: tuple[int, int], cell_px: tuple[float, float], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Smooth noise of unit range around 0, cells of (height, width) pixels."""
    rows, columns = (
        max(2, int(side / cell) + 2) for side, cell in zip(shape, cell_px, strict=True)
    )
    coarse = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
    smooth = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth, np.float32)


def clouds(
    shape: tuple[int, int], cell_px: float, octaves: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Noise summed over scales, from `cell_px` down."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cell = max(1.0, cell_px / 2**octave)
        total += noise(shape, (cell, cell), rng) * 0.5**octave
    return total

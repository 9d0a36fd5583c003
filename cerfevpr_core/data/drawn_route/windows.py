"""Windows, doors and shop fronts, painted with reveals, frames and sills."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import Canvas, text_width
from .conditions import Colour, Look

LAMPLIGHT: tuple[Colour, ...] = ((255, 205, 120), (255, 222, 160), (255, 186, 96), (228, 232, 240))
WORDS = (
    'CAFE', 'BOOKS', 'BAKERY', 'HOTEL', 'PHARMACY', 'CINEMA', 'BIKES', 'FLOWERS', 'RADIO', 'PUB',
    'TAILOR', 'PIZZA', 'BANK', 'MUSEUM', 'KIOSK', 'OPTICS', 'MUSIC', 'TOYS', 'TEA', 'SHOES', 'ART',
    'POST', 'MARKET', 'BAR', 'FISH', 'WINE', 'ZOO', 'TOOLS', 'CLOCKS', 'LAMPS', 'HATS', 'DENTIST',
)  # fmt: skip


@dataclass(frozen=True)
class WindowKind:
    """The windows of one facade, all alike."""

    width_m: float
    height_m: float
    panes: tuple[int, int]  # columns, rows
    frame: Colour
    surround: Colour | None
    arched: bool
    shutters: Colour | None


def paint_window(
    canvas: Canvas, x: float, y: float, kind: WindowKind, look: Look, rng: np.random.Generator
) -> None:
    """A window whose top left corner is x, y."""
    w, h = kind.width_m, kind.height_m
    if kind.surround:
        canvas.box(x - 0.16, y - 0.2, x + w + 0.16, y + h + 0.1, kind.surround)
    if kind.shutters:
        for left in (x - 0.52 * w - 0.05, x + w + 0.05):
            canvas.box(left, y, left + 0.52 * w, y + h, kind.shutters)
            for slat in np.arange(y + 0.1, y + h, 0.16):
                canvas.shade(left + 0.06, slat, left + 0.52 * w - 0.06, slat + 0.06, 0.75)
    if kind.arched:
        canvas.disc(x + w / 2, y, w / 2, _darker(kind.frame, 0.55))
        canvas.disc(x + w / 2, y, w / 2 - 0.09, (72, 84, 96))
    paint_glass(canvas, x, y, w, h, look, rng)
    _paint_frame(canvas, x, y, w, h, kind)
    canvas.shade(x, y, x + w, y + 0.14, 0.5)  # the reveal's shadow: windows sit inside the wall
    canvas.shade(x, y, x + 0.09, y + h, 0.6)
    sill = (240, 244, 250) if look.snow else _darker(kind.surround or (200, 198, 192), 1.05)
    canvas.shade(x - 0.1, y + h + 0.08, x + w + 0.1, y + h + 0.3, 0.72)
    canvas.box(x - 0.12, y + h - (0.1 if look.snow else 0), x + w + 0.12, y + h + 0.09, sill)


def paint_glass(
    canvas: Canvas, x: float, y: float, w: float, h: float, look: Look, rng: np.random.Generator
) -> None:
    """A pane: the sky's reflection and a dark room by day, a lamp behind curtains by night.

    Draws the same random numbers under any condition, so that curtains stay where they are.
    """
    tone, curtain, colour = rng.uniform(0.7, 1.15), rng.random(), rng.integers(len(LAMPLIGHT))
    lit, lamp_light = rng.random() < look.lit_windows, rng.uniform(0.55, 1.0)
    window = canvas.window(x, y, x + w, y + h)
    rows = np.linspace(0, 1, window[0].stop - window[0].start)[:, None, None]
    if lit:
        lamp = np.array(LAMPLIGHT[colour]) * lamp_light
        canvas.colour[window] = lamp * (1 - 0.35 * rows)
        canvas.glow[window] = 235
    else:
        sky = 0.62 * np.array(look.horizon) * tone
        canvas.colour[window] = np.clip(sky * (1 - rows) + np.array((44, 50, 56)) * rows, 0, 255)
    if curtain < 0.45:
        cloth = 1.5 if not lit else 0.8
        side = w * (0.18 + 0.2 * curtain)
        canvas.shade(x, y, x + side, y + h, cloth)
        canvas.shade(x + w - side, y, x + w, y + h, cloth)
    elif curtain < 0.62:
        blind = h * (0.25 + 1.5 * (curtain - 0.45))
        canvas.shade(x, y, x + w, y + blind, 0.85 if lit else 1.45)


def _paint_frame(canvas: Canvas, x: float, y: float, w: float, h: float, kind: WindowKind) -> None:
    thick = 0.08
    window = canvas.window(x, y, x + w, y + h)
    glow = canvas.glow[window].copy()
    for column in range(kind.panes[0] + 1):
        at = x + (w - thick) * column / kind.panes[0]
        canvas.box(at, y, at + thick, y + h, kind.frame)
    rows = np.linspace(0, 1, kind.panes[1] + 1) ** 0.8  # the upper panes are the smaller ones
    for row in rows if kind.panes[1] < 3 else np.linspace(0, 1, kind.panes[1] + 1):
        at = y + (h - thick) * (1 - row)
        canvas.box(x, at, x + w, at + thick, kind.frame)
    canvas.glow[window] = cv2.min(canvas.glow[window], glow)


def paint_door(canvas: Canvas, x: float, w: float, h: float, colour: Colour, look: Look) -> None:
    """A panelled door that stands on the ground, with a light above and a step."""
    bottom = canvas.height_m
    top = bottom - h
    canvas.box(x - 0.18, top - 0.22, x + w + 0.18, bottom, (196, 190, 180))
    canvas.box(x, top, x + w, bottom, colour)
    canvas.shade(x, top, x + w, top + 0.16, 0.5)
    for left in (x + 0.1 * w, x + 0.56 * w):
        for row in range(3):
            y = top + h * (0.1 + 0.3 * row)
            canvas.shade(left, y, left + 0.34 * w, y + 0.22 * h, 0.78)
            canvas.shade(left + 0.04, y + 0.04, left + 0.34 * w, y + 0.22 * h, 1.22)
    glow = 240 if look.lamps or look.lit_windows > 0.1 else 0
    canvas.disc(x + w / 2, top - 0.4, 0.14, (255, 226, 170) if glow else (120, 118, 112), glow)
    canvas.box(x - 0.2, bottom - 0.16, x + w + 0.2, bottom, (168, 166, 162))


def paint_shop(
    canvas: Canvas,
    x: float,
    w: float,
    h: float,
    colour: Colour,
    look: Look,
    rng: np.random.Generator,
) -> None:
    """A shop front on the ground: a sign band with its name over large panes."""
    top, bottom = canvas.height_m - h, canvas.height_m
    word = WORDS[rng.integers(len(WORDS))]
    open_late = rng.random() < 0.6
    canvas.box(x, top, x + w, bottom, _darker(colour, 0.8))
    _paint_sign_band(canvas, x, top, w, word, colour, look, open_late)
    num_panes = max(2, round(w / 1.9))
    door = int(rng.integers(num_panes))
    for pane in range(num_panes):
        left = x + 0.15 + (w - 0.3) * pane / num_panes
        right = x + 0.15 + (w - 0.3) * (pane + 1) / num_panes - 0.12
        foot = 0.12 if pane == door else 0.6
        pane_rng = np.random.default_rng(rng.integers(1 << 31))
        _paint_display(canvas, left, top + 1.0, right, bottom - foot, look, open_late, pane_rng)
        if pane == door:
            canvas.box(left, top + 1.0 + 0.42, right, top + 1.0 + 0.52, _darker(colour, 0.6))
            canvas.box(right - 0.2, bottom - 1.3, right - 0.12, bottom - 0.9, (210, 200, 160))


def _paint_sign_band(
    canvas: Canvas,
    x: float,
    top: float,
    w: float,
    word: str,
    colour: Colour,
    look: Look,
    late: bool,
) -> None:
    glow = 225 if look.lamps and late else 0
    canvas.box(x - 0.05, top, x + w + 0.05, top + 0.85, colour, glow // 2)
    canvas.shade(x - 0.05, top + 0.85, x + w + 0.05, top + 1.05, 0.45)
    height = min(0.52, 0.52 * (w - 0.4) / text_width(word, 0.52))
    bright = sum(colour) > 380
    ink: Colour = (30, 30, 34) if bright else (248, 244, 232)
    left = x + (w - text_width(word, height)) / 2
    canvas.text(word, left, top + 0.42 - height / 2, height, ink)
    if look.snow:
        canvas.box(x - 0.05, top - 0.1, x + w + 0.05, top + 0.03, (240, 244, 250))


def _paint_display(
    canvas: Canvas,
    x0: float,
    y0: float,
    x1: float,
    y1: float,
    look: Look,
    open_late: bool,
    rng: np.random.Generator,
) -> None:
    """Goods behind glass, lit in the dark while the shop is open."""
    lit = open_late and look.lit_windows > 0.1
    window = canvas.window(x0, y0, x1, y1)
    rows = np.linspace(1, 0.35, window[0].stop - window[0].start)[:, None, None]
    lamp = np.array((255, 214, 150)) * rng.uniform(0.75, 1)
    back = lamp if lit else np.array((84, 92, 98))
    canvas.colour[window] = back * rows
    canvas.glow[window] = 215 if lit else 0
    for _ in range(int(4 + (x1 - x0) * 4)):
        w, h = rng.uniform(0.12, 0.5, 2)
        x = rng.uniform(x0, max(x0 + 0.01, x1 - w))
        colour = rng.integers(70, 200) + rng.integers(-50, 50, 3)
        colour = colour * (0.8 if lit else 0.55)
        shelf = y1 - rng.integers(3) * 0.7
        canvas.box(x, max(y0, shelf - h), min(x + w, x1), shelf, tuple(colour), 170 if lit else 0)
    if not lit:  # the sky over the opposite roofs, seen in the glass
        canvas.polygon(
            [(x0, y0), (x1, y0), (x1, y0 + 0.28 * (y1 - y0)), (x0, y0 + 0.45 * (y1 - y0))],
            tuple(0.55 * np.array(look.horizon) + 12),
        )
    canvas.shade(x0, y0, x1, y0 + 0.12, 0.6)


def _darker(colour: Colour, gain: float) -> Colour:
    r, g, b = (min(255.0, c * gain) for c in colour)
    return r, g, b

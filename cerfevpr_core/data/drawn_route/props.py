"""Pictures of what stands in a street: trees, cars, signs, roofs, railings and distant houses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from .canvas import Canvas, Picture, clouds, noise, text_width
from .conditions import Colour, Look
from .facades import PAINTS
from .windows import WORDS

SNOW: Colour = (236, 240, 246)
ROOFS: tuple[Colour, ...] = ((150, 76, 56), (96, 92, 96), (112, 70, 58), (78, 84, 92))
CAR_COLOURS: tuple[Colour, ...] = (
    (196, 198, 202), (40, 42, 48), (150, 26, 30), (34, 62, 120), (228, 228, 224), (70, 84, 74),
    (196, 150, 40),
)  # fmt: skip
TREE_SIZE_M = (5.2, 7.6)
CAR_LENGTH_M, CAR_WIDTH_M, CAR_BODY_M, CAR_HEIGHT_M = 4.3, 1.76, 0.98, 1.48

Paint = Callable[[Look], Picture]


def plain(
    size_m: tuple[float, float], colour: Colour, look: Look, snowy: bool = False, seed: int = 5
) -> Picture:
    """A surface of one colour with a little grain; `snowy` lies under snow in winter."""
    rng = np.random.default_rng(seed)
    canvas = Canvas(*size_m, 10.0, SNOW if snowy and look.snow else colour)
    shape = (canvas.height_px, canvas.width_px)
    canvas.texture(1 + 0.05 * clouds(shape, 24, 4, rng) + 0.04 * noise(shape, (2, 2), rng))
    return canvas.finish()


def roof(colour: Colour, look: Look) -> Picture:
    """Rows of tiles, 6 m by 4 m."""
    canvas = Canvas(6, 4, 14.0, colour)
    rng = np.random.default_rng(6)
    shape = (canvas.height_px, canvas.width_px)
    canvas.texture(1 + 0.12 * clouds(shape, 40, 4, rng))
    for y in np.arange(0, 4, 0.25):
        canvas.shade(0, y, 6, y + 0.07, 0.7)
    if look.snow:
        bare = clouds(shape, 60, 4, rng) > 0.75
        white = np.array(SNOW) * (1 + 0.04 * clouds(shape, 60, 3, rng))[..., None]
        canvas.colour = np.where(bare[..., None], canvas.colour, np.clip(white, 0, 255))
        canvas.colour = canvas.colour.astype(np.uint8)
    return canvas.finish()


def tree(kind: int, look: Look) -> Picture:
    """A tree seen from the side, leafy or bare, transparent around it."""
    rng = np.random.default_rng([kind, 77])
    canvas = Canvas(*TREE_SIZE_M, 24.0, (70, 56, 44))
    canvas.cover = np.zeros((canvas.height_px, canvas.width_px), np.uint8)
    w, h = TREE_SIZE_M
    _branch(canvas, (w / 2, h), -np.pi / 2, h * 0.36, 0.26, 0, 1 if look.leaves else 5, rng)
    if look.leaves:
        _crown(canvas, rng)
    elif look.snow:  # snow lies on the upper side of every branch
        upper = canvas.cover > cv2.erode(canvas.cover, np.ones((3, 1), np.uint8), anchor=(0, 2))
        canvas.colour[upper] = SNOW
    return canvas.finish()


def _branch(
    canvas: Canvas,
    start: tuple[float, float],
    angle: float,
    length: float,
    width: float,
    depth: int,
    finest: int,
    rng: np.random.Generator,
) -> None:
    assert canvas.cover is not None
    end = (start[0] + length * float(np.cos(angle)), start[1] + length * float(np.sin(angle)))
    ends = canvas.points([start, end])
    thick = max(1, round(width * float(canvas.scale[0])))
    cv2.line(canvas.cover, ends[0], ends[1], (255.0,), thick, cv2.LINE_AA, 4)
    if depth == finest:
        return
    for _ in range(3 if depth < 3 else 2):
        turn = float(rng.uniform(0.25, 0.75)) * float(rng.choice([-1, 1]))
        shorter = length * float(rng.uniform(0.52, 0.74))
        _branch(canvas, end, angle + turn, shorter, width * 0.62, depth + 1, finest, rng)


def _crown(canvas: Canvas, rng: np.random.Generator) -> None:
    """Tufts of leaves, dark below and light above."""
    assert canvas.cover is not None
    (w, h), scale = TREE_SIZE_M, canvas.scale
    green = np.array((62, 92, 38)) * rng.uniform(0.85, 1.15, 3)
    for _ in range(420):
        angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 1))
        x = w * (0.5 + 0.41 * reach * np.cos(angle))
        y = h * (0.36 + 0.31 * reach * np.sin(angle))
        light = 0.55 + 1.0 * (1 - y / (0.7 * h)) * rng.uniform(0.5, 1.0) + 0.15 * rng.normal()
        size = (int(rng.uniform(0.12, 0.42) * scale[0]), int(rng.uniform(0.1, 0.3) * scale[1]))
        at = (int(x * scale[0]), int(y * scale[1]))
        colour = [float(c) for c in np.clip(green * light, 0, 255)]
        tilt = float(rng.uniform(0, 180))
        cv2.ellipse(canvas.colour, at, size, tilt, 0, 360, colour, -1, cv2.LINE_AA)
        cv2.ellipse(canvas.cover, at, size, tilt, 0, 360, (255.0,), -1, cv2.LINE_AA)
    leaves = noise((canvas.height_px, canvas.width_px), (5, 5), rng)
    canvas.texture(1 + 0.35 * leaves)
    holes = (noise(leaves.shape, (9, 9), rng) > 0.5) & (leaves > 0)
    canvas.cover[: int(0.72 * canvas.height_px)][holes[: int(0.72 * canvas.height_px)]] = 0


def car_side(colour: Colour, look: Look) -> Picture:
    """Body without cabin from the side: wheels, doors; transparent between the wheels."""
    del look
    canvas = Canvas(CAR_LENGTH_M, CAR_BODY_M, 24.0, colour)
    cover = Canvas(CAR_LENGTH_M, CAR_BODY_M, 24.0, (0, 0, 0))
    cover.box(0, 0.05, CAR_LENGTH_M, CAR_BODY_M - 0.24, (255, 255, 255))
    canvas.shade(0, 0.3, CAR_LENGTH_M, CAR_BODY_M, 0.82)
    canvas.shade(0, 0.62, CAR_LENGTH_M, CAR_BODY_M, 0.6)
    for x in (1.3, 2.2, 3.15):
        canvas.shade(x, 0.06, x + 0.04, 0.7, 0.6)
    for x in (0.82, 3.45):
        for radius, tone in ((0.38, 24), (0.33, 34), (0.2, 130), (0.1, 70)):
            canvas.disc(x, CAR_BODY_M - 0.32, radius, (tone, tone, tone))
        cover.disc(x, CAR_BODY_M - 0.32, 0.33, (255, 255, 255))
    canvas.cover = cover.colour[..., 0].copy()
    return canvas.finish()


def car_end(colour: Colour, rear: bool, look: Look) -> Picture:
    """Front or rear of the body: bumper, plate and lights."""
    del look
    canvas = Canvas(CAR_WIDTH_M, CAR_BODY_M, 24.0, colour)
    canvas.box(0, 0.62, CAR_WIDTH_M, CAR_BODY_M, (30, 30, 32))
    light: Colour = (176, 22, 20) if rear else (232, 234, 230)
    canvas.box(0.06, 0.18, 0.42, 0.36, light)
    canvas.box(CAR_WIDTH_M - 0.42, 0.18, CAR_WIDTH_M - 0.06, 0.36, light)
    canvas.box(0.6, 0.2, 1.16, 0.34, (40, 40, 42) if not rear else (228, 228, 220))
    canvas.box(0.1, 0.75, 0.4, CAR_BODY_M, (16, 16, 18))
    canvas.box(CAR_WIDTH_M - 0.4, 0.75, CAR_WIDTH_M - 0.1, CAR_BODY_M, (16, 16, 18))
    return canvas.finish()


def car_glass(colour: Colour, look: Look) -> Picture:
    """One side of the cabin: dark glass between pillars."""
    canvas = Canvas(2.2, 0.5, 24.0, colour)
    canvas.box(0.1, 0.06, 2.1, 0.5, (48, 56, 64))
    canvas.polygon([(0.1, 0.06), (2.1, 0.06), (1.9, 0.24), (0.1, 0.3)], _half(look.horizon))
    canvas.box(1.07, 0.06, 1.15, 0.5, colour)
    return canvas.finish()


def blade_sign(number: int, look: Look) -> Picture:
    """A sign that sticks out of a wall, 0.9 m by 1.9 m: a drawn shape over a word."""
    rng = np.random.default_rng([number, 31])
    ground, ink = PAINTS[rng.integers(len(PAINTS))], PAINTS[rng.integers(len(PAINTS))]
    if ink == ground:
        ink = (250, 246, 236)
    glow = 235 if look.lamps > 0.5 and rng.random() < 0.7 else 0
    canvas = Canvas(0.9, 1.9, 32.0, ground)
    canvas.glow[:] = glow
    canvas.box(0.05, 0.05, 0.85, 1.85, (245, 242, 232), glow)
    canvas.box(0.1, 0.1, 0.8, 1.8, ground, glow)
    sides = int(rng.choice([3, 4, 6, 24]))
    turns = np.linspace(0, 2 * np.pi, sides, endpoint=False) + rng.uniform(0, 1)
    canvas.polygon([(0.45 + 0.3 * np.sin(t), 0.6 + 0.3 * np.cos(t)) for t in turns], ink, glow)
    letters = WORDS[rng.integers(len(WORDS))][:4]
    height = min(0.3, 0.3 * 0.62 / text_width(letters, 0.3))
    canvas.text(letters, 0.45 - text_width(letters, height) / 2, 1.25, height, (250, 246, 236))
    return canvas.finish()


def road_sign(kind: int, look: Look) -> Picture:
    """A round or square traffic sign, 0.7 m."""
    del look
    canvas = Canvas(0.7, 0.7, 40.0, (30, 80, 160))
    canvas.cover = np.zeros((canvas.height_px, canvas.width_px), np.uint8)
    if kind == 0:  # no parking
        canvas.disc(0.35, 0.35, 0.34, (200, 30, 34))
        canvas.disc(0.35, 0.35, 0.26, (30, 80, 160))
        canvas.line([(0.15, 0.15), (0.55, 0.55)], 0.07, (200, 30, 34))
    elif kind == 1:  # a speed limit
        canvas.disc(0.35, 0.35, 0.34, (200, 30, 34))
        canvas.disc(0.35, 0.35, 0.26, (245, 245, 240))
        canvas.text('30', 0.35 - text_width('30', 0.24) / 2, 0.23, 0.24, (20, 20, 20))
    else:  # parking
        canvas.text('P', 0.35 - text_width('P', 0.44) / 2, 0.13, 0.44, (250, 250, 250))
        canvas.cover[:] = 255
    disc = canvas.points(
        [(0.35 + 0.34 * np.cos(t), 0.35 + 0.34 * np.sin(t)) for t in np.arange(24) * np.pi / 12]
    )
    cv2.fillConvexPoly(canvas.cover, disc, (255.0,), cv2.LINE_8, 4)
    return canvas.finish()


def railing(look: Look) -> Picture:
    """Iron bars of a balcony, 3 m by 1 m."""
    canvas = Canvas(3, 1, 32.0, (44, 46, 50))
    cover = Canvas(3, 1, 32.0, (0, 0, 0))
    for x in np.arange(0, 3, 0.14):
        cover.box(x, 0, x + 0.05, 1, (255, 255, 255))
    cover.box(0, 0, 3, 0.08, (255, 255, 255))
    cover.box(0, 0.9, 3, 1, (255, 255, 255))
    if look.snow:
        canvas.box(0, 0, 3, 0.08, SNOW)
    canvas.cover = cover.colour[..., 0].copy()
    return canvas.finish()


def awning(colour: Colour, look: Look) -> Picture:
    """Striped cloth over a shop window, 4 m by 1.6 m."""
    if look.snow:
        return plain((4, 1.6), SNOW, look)
    canvas = Canvas(4, 1.6, 16.0, (238, 232, 218))
    for x in np.arange(0, 4, 0.8):
        canvas.box(x, 0, x + 0.4, 1.6, colour)
    return canvas.finish()


def shared_pictures() -> dict[str, tuple[tuple[float, float], Paint]]:
    """Size in metres and painter of each picture that is used in many places."""
    wood, iron = (96, 84, 70), (62, 66, 70)
    book: dict[str, tuple[tuple[float, float], Paint]] = {
        'kerb': ((4, 0.5), partial(plain, (4, 0.5), (150, 148, 142))),
        'yard': ((16, 32), partial(plain, (16, 32), (112, 112, 104), snowy=True)),
        'hedge': ((8, 2), partial(plain, (8, 2), (96, 88, 78), seed=9)),
        'post': ((0.5, 6), partial(plain, (0.5, 6), iron)),
        'chimney': ((1, 1.5), partial(plain, (1, 1.5), (134, 84, 68))),
        'wood': ((1, 1), partial(plain, (1, 1), wood)),
        'lamp': ((0.8, 0.4), _lamp_head),
        'railing': ((3, 1), railing),
    }
    for i, colour in enumerate(ROOFS):
        book[f'roof{i}'] = ((6, 4), partial(roof, colour))
    for i in range(4):
        book[f'tree{i}'] = (TREE_SIZE_M, partial(tree, i))
    for i in range(3):
        book[f'roadsign{i}'] = ((0.7, 0.7), partial(road_sign, i))
    for i, colour in enumerate(PAINTS):
        book[f'awning{i}'] = ((4, 1.6), partial(awning, colour))
    for i, colour in enumerate(CAR_COLOURS):
        size = (CAR_WIDTH_M, CAR_BODY_M)
        book[f'carside{i}'] = ((CAR_LENGTH_M, CAR_BODY_M), partial(car_side, colour))
        book[f'carfront{i}'] = (size, partial(car_end, colour, False))
        book[f'carrear{i}'] = (size, partial(car_end, colour, True))
        book[f'carglass{i}'] = ((2.2, 0.5), partial(car_glass, colour))
        book[f'cartop{i}'] = ((4, 2), partial(plain, (4, 2), colour, snowy=True))
    return book


def _lamp_head(look: Look) -> Picture:
    on = look.lamps > 0
    canvas = Canvas(0.8, 0.4, 20.0, (255, 236, 190) if on else (120, 122, 120))
    canvas.glow[:] = 255 if on else 0
    return canvas.finish()


def _half(colour: Colour) -> Colour:
    r, g, b = (0.6 * c for c in colour)
    return r, g, b

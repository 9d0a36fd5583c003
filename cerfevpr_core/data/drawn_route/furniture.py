"""Trees, lamp posts, traffic signs and parked cars."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .centreline import AFTER_M, BEFORE_M, Centreline
from .ground import AXIS_M, BAY_M, KERB_HEIGHT_M, KERB_M, LANE_M
from .panels import Panel, Parts, box_corners
from .props import (
    CAR_BODY_M,
    CAR_COLOURS,
    CAR_HEIGHT_M,
    CAR_LENGTH_M,
    CAR_WIDTH_M,
    TREE_SIZE_M,
)

Array = NDArray[np.float64]
LAMP_SPACING_M, LAMP_HEIGHT_M = 24.0, 6.6


def add_furniture(parts: Parts, line: Centreline, rng: np.random.Generator) -> None:
    """What stands on the pavements all year."""
    end = line.length_m + AFTER_M - 12
    for number, along in enumerate(np.arange(-BEFORE_M + 4, end, LAMP_SPACING_M)):
        _add_lamp(parts, line, float(along + rng.uniform(-3, 3)), 1 if number % 2 else -1)
    for side in (1, -1):
        along = -BEFORE_M
        while along < end:  # trees come in rows, with treeless stretches between
            num = int(rng.integers(1, 5))
            for _ in range(num):
                if all(abs(along - at) > 5 for at in parts.crossings_m):
                    _add_tree(parts, line, along, side, rng)
                along += float(rng.uniform(8, 11))
            along += float(rng.uniform(10, 45))
    for along in np.arange(-BEFORE_M + 9, end, 33):
        side = int(rng.choice([-1, 1]))
        _add_road_sign(parts, line, float(along + rng.uniform(-8, 8)), side, int(rng.integers(3)))


def _add_lamp(parts: Parts, line: Centreline, along: float, side: int) -> None:
    post = line.world(along, AXIS_M + side * (KERB_M + 0.5))
    head = line.world(along, AXIS_M + side * (KERB_M - 1.2), LAMP_HEIGHT_M)
    heading = float(line.heading_rad(along))
    top = LAMP_HEIGHT_M + 0.1
    parts.block(np.array([post[0], post[1], heading, 0.07, 0.07, 0, top]), 'post', 'post')
    middle = (post[:2] + head[:2]) / 2
    arm = np.array([*middle, heading, 0.04, 0.85, top - 0.1, top])
    parts.block(arm, 'post', 'post')
    box = np.array([head[0], head[1], heading, 0.14, 0.35, LAMP_HEIGHT_M - 0.12, LAMP_HEIGHT_M])
    parts.block(box, 'lamp', 'post')
    parts.lamps.append(head - (0, 0, 0.2))


def _add_tree(
    parts: Parts, line: Centreline, along: float, side: int, rng: np.random.Generator
) -> None:
    """Three crossed cards: they stand still, so that depth is the same from everywhere."""
    root = line.world(along, AXIS_M + side * (KERB_M + 0.8), KERB_HEIGHT_M)
    size, kind = float(rng.uniform(0.75, 1.15)), int(rng.integers(4))
    w, h = size * TREE_SIZE_M[0], size * TREE_SIZE_M[1]
    turn = float(rng.uniform(0, np.pi))
    for card in range(3):
        angle = turn + card * np.pi / 3
        half = np.array([np.cos(angle), np.sin(angle), 0]) * w / 2
        up = np.array([0, 0, h])
        corners = (root - half + up, root + half + up, root - half)
        parts.quad(*corners, f'tree{(kind + card) % 4}', two_sided=True)
    parts.crowns.append(np.array([root[0], root[1], 0.62 * h, 0.42 * w]))


def _add_road_sign(parts: Parts, line: Centreline, along: float, side: int, kind: int) -> None:
    at = line.world(along, AXIS_M + side * (KERB_M + 0.35))
    heading = float(line.heading_rad(along))
    parts.block(np.array([at[0], at[1], heading, 0.035, 0.035, 0, 2.9]), 'post', 'post')
    right = np.array([np.sin(heading), -np.cos(heading), 0]) * 0.35
    back = np.array([np.cos(heading), np.sin(heading), 0]) * -0.05
    top, low = at + back + (0, 0, 2.9), at + back + (0, 0, 2.2)
    parts.quad(top - right, top + right, low - right, f'roadsign{kind}', two_sided=True)


def park_cars(parts: Parts, line: Centreline, rng: np.random.Generator) -> None:
    """Cars in some of the bays: every traverse finds others."""
    end = line.length_m + AFTER_M - 10
    for side in (1, -1):
        middle = AXIS_M + side * (LANE_M + KERB_M) / 2
        for bay in np.arange(np.ceil(-BEFORE_M / BAY_M) * BAY_M, end, BAY_M):
            taken, shift, colour = rng.random() < 0.5, rng.uniform(-0.4, 0.4), rng.integers(99)
            along = float(bay + BAY_M / 2 + shift)
            if taken and all(abs(along - at) > 5.5 for at in parts.crossings_m):
                at = line.world(along, middle)
                heading = float(line.heading_rad(along))
                _add_car(parts, at, heading, int(colour) % len(CAR_COLOURS))


def _add_car(parts: Parts, at: Array, heading: float, colour: int) -> None:
    half = (CAR_LENGTH_M / 2, CAR_WIDTH_M / 2)
    box = np.array([at[0], at[1], heading, *half, 0.02, CAR_BODY_M])
    corners = box_corners(box)
    body = CAR_BODY_M - 0.02
    walls = ('carside', 'carfront', 'carside', 'carrear')
    for i, wall in enumerate(walls):  # from the right side on, anticlockwise
        parts.wall(corners[i], corners[(i + 1) % 4], body, f'{wall}{colour}')
    up = np.array([0, 0, body])
    parts.quad(corners[0] + up, corners[3] + up, corners[1] + up, f'cartop{colour}')
    _add_cabin(parts, at, heading, colour)
    shadow = box.copy()
    shadow[5], shadow[6] = 0.25, CAR_HEIGHT_M - 0.15
    parts.boxes.append(shadow)


def _add_cabin(parts: Parts, at: Array, heading: float, colour: int) -> None:
    """A cut-off pyramid of glass on the body."""
    ahead, left = (
        np.array([np.cos(heading), np.sin(heading)]),
        np.array([-np.sin(heading), np.cos(heading)]),
    )

    def ring(back: float, front: float, half_width: float, up: float) -> Array:
        spots = (
            (back, -half_width),
            (front, -half_width),
            (front, half_width),
            (back, half_width),
        )
        return np.array([[*(at[:2] + a * ahead + b * left), up] for a, b in spots])

    base = ring(-1.95, 1.0, 0.82, CAR_BODY_M)
    top = ring(-1.45, 0.25, 0.66, CAR_HEIGHT_M)
    picture = np.array([[0.3, 0], [1.9, 0], [2.2, 0.5], [0, 0.5]])
    for i in range(4):
        j = (i + 1) % 4
        corners = np.array([top[i], top[j], base[j], base[i]])
        parts.panels.append(Panel(corners, picture, f'carglass{colour}'))
    parts.quad(top[0], top[3], top[1], f'cartop{colour}')

"""Wall materials: brick, plaster, concrete panels and blocks of stone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .canvas import FINER, Canvas, clouds, noise

WALL_COLOURS = {
    'plaster': (
        (222, 196, 140), (214, 170, 120), (226, 216, 196), (198, 150, 134), (166, 178, 158),
        (176, 186, 200), (204, 122, 92), (232, 222, 178), (140, 152, 140), (210, 188, 190),
    ),
    'brick': ((150, 78, 60), (172, 100, 74), (128, 70, 62), (176, 132, 94), (110, 84, 76)),
    'panels': ((178, 176, 170), (160, 168, 172), (196, 190, 176), (150, 148, 144)),
    'stone': ((186, 176, 156), (168, 162, 152), (200, 188, 164), (150, 146, 142)),
}  # fmt: skip


def paint_wall(canvas: Canvas, material: str, storey_m: float, rng: np.random.Generator) -> None:
    """Give a canvas of one colour the grain, joints and stains of a material."""
    shape = (canvas.height_px // FINER, canvas.width_px // FINER)
    px = float(canvas.scale[0]) / FINER
    gain = 1 + 0.07 * clouds(shape, 3.0 * px, 3, rng) + 0.035 * noise(shape, (1, 1), rng)
    gain += 0.05 * noise(shape, (4.0 * px, 0.35 * px), rng)  # streaks that rain left
    canvas.texture(gain)
    if material == 'brick':
        canvas.texture(_courses(canvas, (0.12, 0.36), 0.03, 0.16, 0.78, rng))
    elif material == 'stone':
        canvas.texture(_courses(canvas, (0.5, 1.0), 0.04, 0.08, 0.72, rng))
    elif material == 'panels':
        canvas.texture(_courses(canvas, (storey_m, 3.1), 0.06, 0.05, 0.6, rng, shifted=False))


def _courses(
    canvas: Canvas,
    size_m: tuple[float, float],
    joint_m: float,
    variety: float,
    joint_gain: float,
    rng: np.random.Generator,
    shifted: bool = True,
) -> NDArray[np.float32]:
    """Rows of bricks or slabs of (height, width) metres, each a little lighter or darker."""
    y = (np.arange(canvas.height_px) + 0.5)[::-1, None] / canvas.scale[1]
    row = np.floor(y / size_m[0]).astype(int)
    x = (np.arange(canvas.width_px) + 0.5) / canvas.scale[0] + size_m[1] * 8
    tones = (1 + variety * rng.uniform(-1, 1, (97, 89))).astype(np.float32)
    gain = np.empty((canvas.height_px, canvas.width_px), np.float32)
    for odd in range(2):  # bricks of every other row lie half a brick aside
        column = (x - odd * size_m[1] / 2 * shifted) / size_m[1]
        rows = row[:, 0] % 2 == odd
        bond = tones[np.ix_(row[rows, 0] % 97, column.astype(int) % 89)]
        bond[:, column % 1 < joint_m / size_m[1]] *= joint_gain
        gain[rows] = bond
    gain[((y / size_m[0]) % 1 < joint_m / size_m[0])[:, 0]] *= joint_gain
    return gain

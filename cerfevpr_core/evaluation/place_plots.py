"""Figures of where queries were matched: from above, in order, and by similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cerfevpr_core.evaluation.style import STYLE, legend_above, new_axes
from cerfevpr_core.palette import MARKS, MUTED, PANEL, TRUTH

SIMILARITY_COLORS = LinearSegmentedColormap.from_list(
    'similarity', ['#f4f7fb', '#8fb3d9', '#17365c']
)
MAX_MATRIX_SIDE = 600  # cells; larger matrices are shown as the maxima of blocks


@dataclass(frozen=True)
class Route:
    """Where the queries were matched: keyframe row (Q,), -1 where none; whether that is right.

    Positions (M, 2) and (Q, 2) in metres give a picture from above; without them the plot is
    query number against keyframe number. A query without a position is NaN. `unknown` is the word
    for a truth of None.
    """

    matched: NDArray[np.int64]
    correct: Sequence[bool | None]
    num_keyframes: int
    keyframes_xy_m: NDArray[np.float64] | None = None
    queries_xy_m: NDArray[np.float64] | None = None
    unknown: str = MARKS[None][0]

    @property
    def has_positions(self) -> bool:
        """Whether it can be shown from above."""
        return self.keyframes_xy_m is not None and len(self.keyframes_xy_m) > 0

    def word(self, correct: bool | None) -> str:
        """What such a match is called."""
        return self.unknown if correct is None else MARKS[correct][0]

    def rows(self, correct: bool | None) -> NDArray[np.int64]:
        """The matched queries that are right (True), wrong (False) or of unknown truth (None)."""
        mine = [row for row, value in enumerate(self.correct) if value is correct]
        return np.array([row for row in mine if self.matched[row] >= 0], np.int64)


@matplotlib.rc_context(STYLE)
def route_figure(route: Route) -> Figure:
    """Keyframes from above, each query joined to the one that it was matched with."""
    xy = np.asarray(route.keyframes_xy_m, float)
    width_m, height_m = np.ptp(xy, axis=0)
    height = 0.9 + 4.6 * height_m / max(width_m, height_m, 1e-6)
    figure, axes = new_axes('x (m)', 'y (m)', float(np.clip(height, 2.6, 4.4)))
    axes.plot(xy[:, 0], xy[:, 1], '.', color=MUTED, markersize=3, alpha=0.6, label='keyframe')
    known = route.queries_xy_m
    for correct, (_, color, _) in MARKS.items():
        rows = route.rows(correct)
        to = xy[route.matched[rows]]
        at = to if known is None else np.where(np.isnan(known[rows]), to, known[rows])
        axes.plot(*np.stack([at, to]).transpose(2, 0, 1), color=color, linewidth=0.9, alpha=0.75)
        _mark(axes, at[:, 0], at[:, 1], correct, route.word(correct))
    axes.set_aspect('equal', adjustable='datalim')
    legend_above(figure)
    return figure


@matplotlib.rc_context(STYLE)
def order_figure(route: Route, right: NDArray[np.bool_] | None) -> Figure:
    """The number of each query against that of the keyframe that it was matched with."""
    figure, axes = new_axes('query', 'matched keyframe', height=3.9)
    if right is not None and right.any() and not right.all() and min(right.shape) > 1:
        _outline(axes, _blocks(right.astype(np.float32)).T, right.shape[::-1])
    for correct in MARKS:
        rows = route.rows(correct)
        _mark(axes, rows, route.matched[rows], correct, route.word(correct))
    axes.set_xlim(-1, len(route.matched))
    axes.set_ylim(-1, route.num_keyframes)
    legend_above(figure)
    return figure


@matplotlib.rc_context(STYLE)
def similarity_figure(
    similarity: NDArray[np.float32], route: Route, right: NDArray[np.bool_] | None
) -> Figure:
    """All similarities (Q, M), the matched keyframes marked and the true ones outlined."""
    figure, axes = new_axes('keyframe', 'query', height=3.9)
    axes.grid(False)
    num_queries, num_keyframes = similarity.shape
    box = (-0.5, num_keyframes - 0.5, num_queries - 0.5, -0.5)
    image = axes.imshow(
        _blocks(similarity),
        cmap=SIMILARITY_COLORS,
        extent=box,
        aspect='auto',
        interpolation='none',
    )
    bar = figure.colorbar(image, label='similarity (cosine)', fraction=0.05, pad=0.02)
    if bar.solids is not None:
        bar.solids.set_rasterized(True)
    bar.outline.set_visible(False)
    if right is not None and right.any() and not right.all() and min(right.shape) > 1:
        _outline(axes, _blocks(right.astype(np.float32)), right.shape)
    for correct in MARKS:
        rows = route.rows(correct)
        _mark(axes, route.matched[rows], rows, correct, route.word(correct))
    axes.set_xlim(box[:2])
    axes.set_ylim(box[2:])
    legend_above(figure)
    return figure


def _mark(axes: Axes, x: NDArray[Any], y: NDArray[Any], correct: bool | None, label: str) -> None:
    if not len(x):
        return
    _, color, marker = MARKS[correct]
    size = float(np.clip(2000 / len(x), 8, 20))
    if marker == 'x':
        axes.scatter(x, y, 24, color=PANEL, marker='x', linewidths=3, zorder=4)  # a halo
        axes.scatter(x, y, 20, color=color, marker='x', linewidths=1.5, label=label, zorder=4)
    else:
        style: dict[str, Any] = {'edgecolors': PANEL, 'linewidths': 0.5, 'zorder': 3}
        axes.scatter(x, y, size, color=color, marker=marker, label=label, **style)


def _outline(axes: Axes, right: NDArray[np.float32], shape: tuple[int, ...]) -> None:
    rows, columns = (
        np.linspace(n / (2 * b) - 0.5, n - n / (2 * b) - 0.5, b)
        for n, b in zip(shape, right.shape, strict=True)
    )
    axes.contour(columns, rows, right, [0.5], colors=TRUTH, linewidths=1.1)
    axes.plot([], [], color=TRUTH, linewidth=1.1, label='true keyframes')


def _blocks(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The matrix itself, or where it is larger than the picture the maximum of each block."""
    for axis in (0, 1):
        size = matrix.shape[axis]
        starts = np.unique(
            np.linspace(0, size, min(size, MAX_MATRIX_SIDE), endpoint=False).astype(int)
        )
        matrix = np.maximum.reduceat(matrix, starts, axis=axis)
    return matrix

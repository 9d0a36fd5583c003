"""Figures of the report: one style, inline SVG that follows the page's light or dark colours."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cerfevpr_core.evaluation.evaluate import MethodResult
from cerfevpr_core.evaluation.metrics import RECALL_AT, precision_recall

# Drawn in these colours; on the page each is a CSS variable, so that dark mode can change it.
INK, MUTED, GRID, PANEL = '#1c2431', '#5a6676', '#dde3ea', '#fffffe'
ACCENT, TRUTH = '#2868a8', '#b06f0b'
SERIES = ('#2868a9', '#c4601d', '#7a4fb0', '#0c7f86', '#b03a6f', '#6b7a1c')
VARIABLES = {INK: 'ink', MUTED: 'muted', GRID: 'line', PANEL: 'panel'}
VARIABLES |= {ACCENT: 'accent', TRUTH: 'truth'}
VARIABLES |= {color: f'series-{i}' for i, color in enumerate(SERIES)}

# By marker and word as well as by colour: (word, colour, marker).
MARKS: dict[bool | None, tuple[str, str, str]] = {
    True: ('right', '#17784a', 'o'),
    None: ('truth unknown', '#626d7b', 's'),
    False: ('wrong', '#c0342a', 'x'),
}
VARIABLES |= {MARKS[True][1]: 'right', MARKS[None][1]: 'unknown', MARKS[False][1]: 'wrong'}

STYLE: dict[Any, Any] = {
    'axes.axisbelow': True,
    'axes.edgecolor': MUTED,
    'axes.grid': True,
    'axes.labelcolor': INK,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'font.family': 'DejaVu Sans',  # comes with matplotlib; the page puts its own in its place
    'font.size': 9,
    'grid.color': GRID,
    'grid.linewidth': 0.7,
    'legend.fontsize': 8.5,
    'legend.frameon': False,
    'legend.labelcolor': INK,
    'lines.linewidth': 1.8,
    'svg.fonttype': 'none',  # text stays text
    'svg.hashsalt': 'cerfevpr',  # the same data gives the same file
    'text.color': INK,
    'text.parse_math': False,
    'xtick.color': MUTED,
    'ytick.color': MUTED,
}
SIMILARITY_COLORS = LinearSegmentedColormap.from_list(
    'similarity', ['#f4f7fb', '#8fb3d9', '#17365c']
)
MAX_MATRIX_SIDE = 600  # cells; larger matrices are shown as the maxima of blocks
LOG_RATIO = 30  # stages that differ more than this are drawn on a logarithmic axis


@dataclass(frozen=True)
class Route:
    """Where the queries were matched: keyframe row (Q,), -1 where none; whether that is right.

    Positions (M, 2) and (Q, 2) in metres give a picture from above; without them the plot is
    query number against keyframe number. A query without a position is NaN.
    """

    matched: NDArray[np.int64]
    correct: Sequence[bool | None]
    num_keyframes: int
    keyframes_xy_m: NDArray[np.float64] | None = None
    queries_xy_m: NDArray[np.float64] | None = None

    def rows(self, correct: bool | None) -> NDArray[np.int64]:
        """The matched queries that are right (True), wrong (False) or of unknown truth (None)."""
        mine = [row for row, value in enumerate(self.correct) if value is correct]
        return np.array([row for row in mine if self.matched[row] >= 0], np.int64)


def to_svg(figure: Figure, name: str, alt: str) -> str:
    """Markup to stand in a page: no size of its own, ids that start with name, themed colours."""
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(('Creator', 'Date', 'Format', 'Type'))
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format='svg', transparent=True, metadata=no_metadata)
    text = buffer.getvalue()
    body = re.sub(r'<style.*?</style>', '', text[text.index('<defs') :], count=1, flags=re.DOTALL)
    body = body.replace('xlink:href', 'href')
    body = re.sub(r'\bid="|(?<=href=")#|(?<=url\()#', lambda m: f'{m.group()}{name}-', body)
    for color, variable in VARIABLES.items():
        body = body.replace(color, f'var(--{variable}, {color})')
    box = re.search(r'viewBox="[^"]*"', text)
    assert box is not None
    label = escape(alt, quote=True)
    return f'<svg {box.group()} role="img" aria-label="{label}">\n<title>{label}</title>\n{body}'


@matplotlib.rc_context(STYLE)
def precision_recall_figure(methods: Sequence[MethodResult], right: NDArray[np.bool_]) -> Figure:
    """Precision over recall as the first candidate's similarity is thresholded, in percent."""
    figure, axes = _axes('recall (%)', 'precision (%)')
    lowest = 100.0
    for i, method in enumerate(methods):
        first = np.take_along_axis(method.similarity, method.ranked[:, :1], axis=1)[:, 0]
        precision, recall = precision_recall(method.ranked, first, right)
        label = f'{method.name}  (AP {method.scores.average_precision:.1f})'
        axes.plot(recall, precision, label=label, **_series(i))
        lowest = min(lowest, float(precision[recall > 0].min(initial=100)))
    axes.set_xlim(0, 101)
    axes.set_ylim(_floor(lowest), 101)
    axes.legend(loc='lower left')
    return figure


@matplotlib.rc_context(STYLE)
def recall_figure(methods: Sequence[MethodResult]) -> Figure:
    """Recall at 1, 5, 10 and 20 candidates, in percent."""
    figure, axes = _axes('candidates K', 'recall@K (%)')
    for i, method in enumerate(methods):
        values = [method.scores.recall[k] for k in RECALL_AT]
        axes.plot(RECALL_AT, values, marker='osD^vP'[i % 6], label=method.name, **_series(i))
    lowest = min(min(m.scores.recall.values()) for m in methods)
    axes.set_xticks(RECALL_AT)
    axes.set_ylim(_floor(lowest), 101)
    axes.legend(loc='lower right')
    return figure


@matplotlib.rc_context(STYLE)
def route_figure(route: Route, right: NDArray[np.bool_] | None) -> Figure:
    """From above where there are positions, else query number against keyframe number."""
    if route.keyframes_xy_m is not None and len(route.keyframes_xy_m):
        figure = _from_above(route, np.asarray(route.keyframes_xy_m, float))
    else:
        figure = _diagonal(route, right)
    figure.legend(loc='outside upper center', ncols=4, handletextpad=0.3, columnspacing=1.2)
    return figure


@matplotlib.rc_context(STYLE)
def similarity_figure(
    similarity: NDArray[np.float32], route: Route, right: NDArray[np.bool_] | None
) -> Figure:
    """All similarities (Q, M), the matched keyframes marked and the true ones outlined."""
    figure, axes = _axes('keyframe', 'query', height=3.9)
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
        _mark(axes, route.matched[rows], rows, correct)
    axes.set_xlim(box[:2])
    axes.set_ylim(box[2:])
    figure.legend(loc='outside upper center', ncols=4, handletextpad=0.3, columnspacing=1.2)
    return figure


@matplotlib.rc_context(STYLE)
def stages_figure(stage_ms: Mapping[str, Sequence[float]]) -> Figure:
    """Milliseconds of each stage: p5 to p95 as a line, the middle half as a bar, p50 marked."""
    figure, axes = _axes('time (ms)', '', height=max(1.7, 0.75 + 0.5 * len(stage_ms)))
    points = np.array([np.percentile(ms, (5, 25, 50, 75, 95)) for ms in stage_ms.values()])
    rows = np.arange(len(points))
    axes.hlines(rows, points[:, 0], points[:, 4], color=ACCENT, linewidth=1.4, label='p5 to p95')
    axes.barh(
        rows, points[:, 3] - points[:, 1], 0.42, points[:, 1], color=ACCENT, alpha=0.45,
        label='middle half',
    )  # fmt: skip
    axes.plot(points[:, 2], rows, '|', color=INK, markersize=15, markeredgewidth=2, label='p50')
    axes.set_yticks(rows, list(stage_ms))
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.grid(False, axis='y')
    if points[:, 2].min() > 0 and points[:, 2].max() > LOG_RATIO * points[:, 2].min():
        axes.set_xscale('log')
        axes.set_xlabel('time (ms, logarithmic)')
        axes.xaxis.set_major_formatter('{x:g}')
    else:
        axes.set_xlim(left=0)
    figure.legend(loc='outside upper center', ncols=3, handletextpad=0.5, columnspacing=1.2)
    return figure


@matplotlib.rc_context(STYLE)
def latency_figure(latency_ms: Sequence[float]) -> Figure:
    """The latency of each image in the order they came, with p50 and p95."""
    figure, axes = _axes('image', 'latency (ms)', height=2.6)
    axes.plot(latency_ms, '.', color=ACCENT, markersize=4, alpha=0.7)
    for q, dash in ((50, '-'), (95, '--')):
        value = float(np.percentile(latency_ms, q))
        axes.axhline(value, color=INK, linestyle=dash, linewidth=1, label=f'p{q} {value:.3g} ms')
    axes.set_ylim(bottom=0)
    figure.legend(loc='outside upper center', ncols=2)
    return figure


def _axes(x_label: str, y_label: str, height: float = 3.3) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.8, height), dpi=72, layout='constrained')
    axes = figure.add_subplot(xlabel=x_label, ylabel=y_label)
    axes.tick_params(which='both', length=0)
    return figure, axes


def _series(i: int) -> dict[str, Any]:
    return {'color': SERIES[i % len(SERIES)], 'linestyle': ('-', '--', '-.', ':')[i % 4]}


def _floor(lowest: float) -> float:
    return max(0.0, 10 * np.floor(lowest / 10 - 0.5))


def _from_above(route: Route, xy: NDArray[np.float64]) -> Figure:
    width_m, height_m = np.ptp(xy, axis=0)
    height = 0.9 + 4.6 * height_m / max(width_m, height_m, 1e-6)
    figure, axes = _axes('x (m)', 'y (m)', float(np.clip(height, 2.6, 4.4)))
    axes.plot(xy[:, 0], xy[:, 1], '.', color=MUTED, markersize=3, alpha=0.6, label='keyframe')
    known = route.queries_xy_m
    for correct, (_, color, _) in MARKS.items():
        rows = route.rows(correct)
        to = xy[route.matched[rows]]
        at = to if known is None else np.where(np.isnan(known[rows]), to, known[rows])
        axes.plot(*np.stack([at, to]).transpose(2, 0, 1), color=color, linewidth=0.9, alpha=0.75)
        _mark(axes, at[:, 0], at[:, 1], correct)
    axes.set_aspect('equal', adjustable='datalim')
    return figure


def _diagonal(route: Route, right: NDArray[np.bool_] | None) -> Figure:
    figure, axes = _axes('query', 'matched keyframe', height=3.9)
    if right is not None and right.any() and not right.all() and min(right.shape) > 1:
        _outline(axes, _blocks(right.astype(np.float32)).T, right.shape[::-1])
    for correct in MARKS:
        rows = route.rows(correct)
        _mark(axes, rows, route.matched[rows], correct)
    axes.set_xlim(-1, len(route.matched))
    axes.set_ylim(-1, route.num_keyframes)
    return figure


def _mark(axes: Axes, x: NDArray[Any], y: NDArray[Any], correct: bool | None) -> None:
    if not len(x):
        return
    label, color, marker = MARKS[correct]
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

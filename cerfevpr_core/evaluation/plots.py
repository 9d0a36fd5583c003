"""Figures of how often methods are right, and of how long they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cerfevpr_core.evaluation.evaluate import MethodResult
from cerfevpr_core.evaluation.metrics import RECALL_AT, precision_recall
from cerfevpr_core.evaluation.style import STYLE, legend_above, milliseconds, new_axes
from cerfevpr_core.palette import ACCENT, INK, SERIES

LOG_RATIO = 30  # stages that differ more than this are drawn on a logarithmic axis


@matplotlib.rc_context(STYLE)
def precision_recall_figure(methods: Sequence[MethodResult], right: NDArray[np.bool_]) -> Figure:
    """Precision over recall as the first candidate's similarity is thresholded, in percent."""
    figure, axes = new_axes('recall (%)', 'precision (%)')
    lowest = 100.0
    for i, method in enumerate(methods):
        first = np.take_along_axis(method.similarity, method.ranked[:, :1], axis=1)[:, 0]
        precision, recall = precision_recall(method.ranked, first, right)
        label = f'{method.name} (AP {method.scores.average_precision:.1f})'
        axes.plot(recall, precision, label=label, **_series(i))
        lowest = min(lowest, float(precision[recall > 0].min(initial=100)))
    axes.set_xlim(0, 101)
    axes.set_ylim(_floor(lowest), 101)
    legend_above(figure)  # a curve may be anywhere inside
    return figure


@matplotlib.rc_context(STYLE)
def recall_figure(methods: Sequence[MethodResult]) -> Figure:
    """Recall at 1, 5, 10 and 20 candidates, in percent."""
    figure, axes = new_axes('candidates K', 'recall@K (%)')
    for i, method in enumerate(methods):
        values = [method.scores.recall[k] for k in RECALL_AT]
        axes.plot(RECALL_AT, values, marker='osD^vP'[i % 6], label=method.name, **_series(i))
    lowest = min(min(m.scores.recall.values()) for m in methods)
    axes.set_xticks(RECALL_AT)
    axes.set_ylim(_floor(lowest), 101)
    legend_above(figure)
    return figure


@matplotlib.rc_context(STYLE)
def stages_figure(stage_ms: Mapping[str, Sequence[float]]) -> Figure:
    """Milliseconds of each stage: p5 to p95 as a line, the middle half as a bar, p50 marked."""
    figure, axes = new_axes('time (ms)', '', height=max(1.7, 0.75 + 0.5 * len(stage_ms)))
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
    figure, axes = new_axes('image', 'latency (ms)', height=2.6)
    axes.plot(latency_ms, '.', color=ACCENT, markersize=4, alpha=0.7)
    for q, dash in ((50, '-'), (95, '--')):
        value = float(np.percentile(latency_ms, q))
        axes.axhline(
            value, color=INK, linestyle=dash, linewidth=1, label=f'p{q} {milliseconds(value)}'
        )
    axes.set_ylim(bottom=0)
    figure.legend(loc='outside upper center', ncols=2)
    return figure


def _series(i: int) -> dict[str, Any]:
    return {'color': SERIES[i % len(SERIES)], 'linestyle': ('-', '--', '-.', ':')[i % 4]}


def _floor(lowest: float) -> float:
    return max(0.0, 10 * np.floor(lowest / 10 - 0.5))

"""Success by condition as bars, one panel a keypoint kind: the landmark paper's Fig. 8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cerfevpr_core.evaluation.style import STYLE
from cerfevpr_core.palette import MUTED, PANEL, SERIES

from .result import Benchmark, Row, figures

# Colour says where candidates come from, the filling how keypoints match.
COLORS = {'words': SERIES[1], 'landmarks': SERIES[0]}
FILLINGS = {'words': '////', 'regions': '', 'anywhere': '....'}
_GROUP = 0.84  # of the space between two conditions, that bars fill


@matplotlib.rc_context(STYLE)
def success_figure(benchmark: Benchmark) -> Figure:
    """Bars of success in percent; a line over each source's bars is its ceiling."""
    kinds = list(dict.fromkeys(row.keypoints for row in benchmark.rows))
    conditions = list(benchmark.rows[0].answers)
    width = max(5.2, 1.6 + 1.25 * len(conditions))
    figure = Figure(figsize=(width, 0.9 + 2.3 * len(kinds)), dpi=144, layout='constrained')
    panels = figure.subplots(len(kinds), 1, sharex=True, squeeze=False)[:, 0]
    for axes, kind in zip(panels, kinds, strict=True):
        _bars(axes, [row for row in benchmark.rows if row.keypoints == kind], conditions)
        axes.set_ylabel(f'success (%), {kind}')
    figure.legend(
        handles=_legend(benchmark), loc='outside upper center', ncols=3, handlelength=1.6
    )
    return figure


def write_figure(benchmark: Benchmark, file: Path) -> None:
    """The figure as a PNG."""
    with matplotlib.rc_context(STYLE):
        success_figure(benchmark).savefig(file, facecolor='white')


def _bars(axes: Axes, rows: Sequence[Row], conditions: Sequence[str]) -> None:
    step = _GROUP / len(rows)
    for number, row in enumerate(rows):
        found = [figures(row.answers[condition]) for condition in conditions]
        at = np.arange(len(conditions)) + (number + 0.5) * step - _GROUP / 2
        color, filling = COLORS[row.candidates], FILLINGS[row.matching]
        light: dict[str, Any] = (
            {'facecolor': 'white', 'edgecolor': color} if filling else {'color': color}
        )
        axes.bar(at, [f.success for f in found], 0.86 * step, hatch=filling, linewidth=1, **light)
        ceilings = [f.ceiling for f in found]
        for shade, linewidth in ((PANEL, 4.5), (color, 2.0)):  # a halo: bars have the same colour
            axes.hlines(
                ceilings, at - step / 2, at + step / 2, shade, linewidth=linewidth, zorder=3
            )
    axes.set_xticks(range(len(conditions)), [c.replace(', ', '\n') for c in conditions])
    axes.set_ylim(0, 104)
    axes.grid(False, axis='x')
    axes.tick_params(length=0)


def _legend(benchmark: Benchmark) -> list[Artist]:
    sources = dict.fromkeys(row.candidates for row in benchmark.rows)
    matchings = dict.fromkeys(row.matching for row in benchmark.rows)
    shown: list[Artist] = [
        Patch(color=COLORS[name], label=f'candidates: {name}') for name in sources
    ]
    for name in matchings:
        face = 'white' if FILLINGS[name] else MUTED
        label = f'matching: {name}'
        shown.append(Patch(facecolor=face, edgecolor=MUTED, hatch=FILLINGS[name], label=label))
    return [*shown, Line2D([], [], color=MUTED, linewidth=2, label='ceiling')]

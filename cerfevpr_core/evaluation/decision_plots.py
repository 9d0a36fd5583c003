"""The reliability diagram: what was said, and how often it came true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.figure import Figure

from cerfevpr_core.calibration.reliability import Bin, error_of
from cerfevpr_core.evaluation.style import STYLE, legend_above, new_axes
from cerfevpr_core.palette import MUTED, SERIES


@matplotlib.rc_context(STYLE)
def reliability_figure(mixtures: Mapping[str, Sequence[Bin]]) -> Figure:
    """Share of right answers over the probability given, one line a mixture of questions.

    Each mark stands for as many answers; on the diagonal, what was said came true.
    """
    figure, axes = new_axes('probability given', 'share that is right')
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle='--')
    for i, (name, bins) in enumerate(mixtures.items()):
        axes.plot(
            [b.probability for b in bins],
            [b.right for b in bins],
            marker='os'[i % 2],
            markersize=5,
            color=SERIES[i % len(SERIES)],
            linestyle=('-', ':')[i % 2],
            label=f'{name} (error {error_of(bins):.3f})',
        )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    legend_above(figure, ncols=2)
    return figure

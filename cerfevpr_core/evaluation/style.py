"""How the figures of a report look: one style, inline SVG in the page's light or dark colours."""

from __future__ import annotations

import io
import re
from html import escape
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cerfevpr_core.palette import ACCENT, GRID, INK, MARKS, MUTED, PANEL, SERIES, TRUTH

# Drawn in the palette; on the page each is a CSS variable, so that dark mode can change it.
VARIABLES = {INK: 'ink', MUTED: 'muted', GRID: 'line', PANEL: 'panel'}
VARIABLES |= {ACCENT: 'accent', TRUTH: 'truth'}
VARIABLES |= {color: f'series-{i}' for i, color in enumerate(SERIES)}
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


def milliseconds(value: float) -> str:
    """A time for people: three digits, and never as 1.2e+03."""
    return f'{value:,.0f} ms' if value >= 100 else f'{value:.3g} ms'


def new_axes(x_label: str, y_label: str, height: float = 3.3) -> tuple[Figure, Axes]:
    """A figure for half of the page's width."""
    figure = Figure(figsize=(4.8, height), dpi=72, layout='constrained')
    axes = figure.add_subplot(xlabel=x_label, ylabel=y_label)
    axes.tick_params(which='both', length=0)
    return figure, axes


def legend_above(figure: Figure, ncols: int = 4) -> None:
    """One legend for the whole figure, where it covers nothing."""
    figure.legend(loc='outside upper center', ncols=ncols, handletextpad=0.3, columnspacing=1.2)

"""The page of a report: what it can show, and one HTML file with everything in it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cerfevpr_core.calibration.reliability import Bin, error_of
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.evaluation import decision_plots, place_plots, plots
from cerfevpr_core.evaluation.evaluate import MethodResult
from cerfevpr_core.evaluation.metrics import RECALL_AT
from cerfevpr_core.evaluation.pairs import STATES, UNKNOWN, Pair, shrunk
from cerfevpr_core.evaluation.place_plots import Route
from cerfevpr_core.evaluation.style import milliseconds, to_svg
from cerfevpr_core.palette import MARKS


class BigNumber(NamedTuple):
    """A number for the top of the page, formatted already."""

    label: str
    value: str
    hint: str = ''


@dataclass(frozen=True)
class Report:
    """What the page shows; a part that is empty or None is left out.

    `right` (Q, M) is the truth for curves and plots; `similarity` (Q, M) is that of `route`'s
    queries and keyframes. `stage_ms` holds one value an image for each stage.
    """

    title: str
    subtitle: str = ''
    numbers: Sequence[tuple[str, str, str]] = ()
    methods: Sequence[MethodResult] = ()
    right: NDArray[np.bool_] | None = None
    pairs: Sequence[Pair] | None = None
    pairs_note: str = ''
    unknown: tuple[str, str] = UNKNOWN  # sign and word of the pairs whose truth is None
    route: Route | None = None
    similarity: NDArray[np.float32] | None = None
    stage_ms: Mapping[str, Sequence[float]] | None = None
    latency_ms: Sequence[float] | None = None
    facts: Sequence[tuple[str, str]] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ''
    reliability: Mapping[str, Sequence[Bin]] = field(default_factory=dict)  # by mixture asked


class Plot(NamedTuple):
    """A figure on the page."""

    caption: str
    svg: Markup


class Cell(NamedTuple):
    """One number of the table of methods."""

    text: str
    best: bool


def write_report(report: Report, file: Path) -> None:
    """Write the page; its images, plots and styles are inside. Raises ConfigError if it cannot."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / 'templates'),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters['data_uri'] = _data_uri
    text = environment.get_template('report.html.j2').render(
        report=report,
        columns=COLUMNS,
        rows=methods_table(report.methods),
        curves=_curves(report),
        places=_places(report),
        decisions=_decisions(report),
        times=_times(report),
        stages=_stage_rows(report.stage_ms or {}),
        words={'right': ('✓', 'right'), 'wrong': ('✗', 'wrong'), 'unknown': report.unknown},
        states=[(s, sum(p.state == s for p in report.pairs or ())) for s in STATES],
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding='utf-8')
    except OSError as error:
        raise ConfigError(
            f'cannot write the report {file}: {error.strerror}; choose another folder'
        ) from None


class Column(NamedTuple):
    """A column of the table of methods; `sign` is 1 where more is better, else -1."""

    heading: str
    unit: str
    form: str
    sign: int
    value: Callable[[MethodResult], float]


def _recall(k: int) -> Column:
    return Column(f'recall@{k}', '%', '.1f', 1, lambda r: r.scores.recall[k])


COLUMNS = (
    Column('descriptor size', '', ',d', -1, lambda r: r.descriptor_dim),
    *map(_recall, RECALL_AT),
    Column('precision at full recall', '%', '.1f', 1, lambda r: r.scores.precision_at_full_recall),
    Column('average precision', '%', '.1f', 1, lambda r: r.scores.average_precision),
    Column('describe p50', 'ms', '.1f', -1, lambda r: float(np.median(r.describe_ms))),
    Column('search p50', 'ms', '.2f', -1, lambda r: float(np.median(r.search_ms))),
)


def methods_table(methods: Sequence[MethodResult]) -> list[tuple[MethodResult, list[Cell]]]:
    """The cells of each method; the best of a column is marked where the methods differ."""
    columns = []
    for column in COLUMNS:
        values = [column.value(method) for method in methods]
        texts = [format(value, column.form) for value in values]
        best = texts[int(np.argmax(column.sign * np.array(values)))] if values else ''
        differ = len(set(texts)) > 1
        columns.append([Cell(text, differ and text == best) for text in texts])
    return [(m, list(c)) for m, c in zip(methods, zip(*columns, strict=True), strict=True)]


def _curves(report: Report) -> list[Plot]:
    if not report.methods:
        return []
    average = [f'{m.name} {m.scores.average_precision:.1f} %' for m in report.methods]
    recall = [f'{m.name} {m.scores.recall[1]:.1f} %' for m in report.methods]
    shown = [
        _plot(
            'Recall by number of candidates',
            f'Recall at 1: {", ".join(recall)}.',
            'recall',
            plots.recall_figure(report.methods),
        )
    ]
    if report.right is not None:
        figure = plots.precision_recall_figure(report.methods, report.right)
        alt = f'Average precision: {", ".join(average)}.'
        shown.insert(0, _plot('Precision and recall', alt, 'precision', figure))
    return shown


def _places(report: Report) -> list[Plot]:
    shown, route = [], report.route
    if route is not None and len(route.matched):
        route = replace(route, unknown=report.unknown[1])
        alt = f'{", ".join(f"{len(route.rows(c))} {route.word(c)}" for c in MARKS)}.'
        if route.has_positions:
            figure = place_plots.route_figure(route)
            joined = route.queries_xy_m is not None
            what = 'each query joined to its match' if joined else 'the matched keyframes'
            caption = f'From above: {what}'
            shown.append(_plot(caption, alt, 'route', figure))
        if not route.has_positions or report.similarity is None:  # which shows the order too
            figure = place_plots.order_figure(route, report.right)
            shown.append(_plot('Matched keyframe of each query', alt, 'order', figure))
    if report.similarity is not None and report.similarity.size:
        firsts = route or _first_candidates(report.similarity, report.right)
        figure = place_plots.similarity_figure(report.similarity, firsts, report.right)
        alt = '{} queries by {} keyframes.'.format(*report.similarity.shape)
        shown.append(_plot('Similarity of queries and keyframes', alt, 'similarity', figure))
    return shown


def _decisions(report: Report) -> list[Plot]:
    known = {name: bins for name, bins in report.reliability.items() if bins}
    if not known:
        return []
    errors = [f'{name} {error_of(bins):.3f}' for name, bins in known.items()]
    alt = f'Expected calibration error: {", ".join(errors)}.'
    return [
        _plot(
            'Reliability: how often what was said came true',
            alt,
            'reliability',
            decision_plots.reliability_figure(known),
        )
    ]


def _first_candidates(similarity: NDArray[np.float32], right: NDArray[np.bool_] | None) -> Route:
    matched = similarity.argmax(axis=1)
    known = [None] * len(matched) if right is None else right[np.arange(len(matched)), matched]
    return Route(matched, [None if k is None else bool(k) for k in known], similarity.shape[1])


def _times(report: Report) -> list[Plot]:
    shown = []
    stage_ms = {stage: ms for stage, ms in (report.stage_ms or {}).items() if len(ms)}
    if stage_ms:
        medians = [
            f'{stage} {milliseconds(float(np.median(ms)))}' for stage, ms in stage_ms.items()
        ]
        figure = plots.stages_figure(stage_ms)
        shown.append(_plot('Time of each stage', f'p50: {", ".join(medians)}.', 'stages', figure))
    if report.latency_ms is not None and len(report.latency_ms):
        p50, p95 = np.percentile(report.latency_ms, (50, 95))
        alt = f'p50 {milliseconds(p50)}, p95 {milliseconds(p95)}.'
        figure = plots.latency_figure(report.latency_ms)
        shown.append(_plot('Latency of each image', alt, 'latency', figure))
    return shown


def _plot(caption: str, alt: str, name: str, figure: Figure) -> Plot:
    return Plot(caption, Markup(to_svg(figure, name, f'{caption}. {alt}')))


def _stage_rows(stage_ms: Mapping[str, Sequence[float]]) -> list[tuple[str, ...]]:
    rows = []
    for stage, ms in stage_ms.items():
        if len(ms):
            numbers = (*np.percentile(ms, (50, 95)), max(ms))
            rows.append((stage, *(f'{value:.2f}' for value in numbers), f'{len(ms):,}'))
    return rows


def _data_uri(jpeg: bytes) -> str:
    return f'data:image/jpeg;base64,{base64.b64encode(shrunk(jpeg)).decode()}'

"""The figures of a soak, as JSON and as a table."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict
from typing import Any

from cerfevpr_ros.soak.growth import growth
from cerfevpr_ros.soak.tally import Tally
from cerfevpr_ros.soak.watch import Sample, Watch

_MIB = 2**20
# More than this in an hour, with all of the 95 % interval above it, is a leak. A robot that runs
# a day then holds less than a GiB more.
MAX_BYTES_PER_HOUR = 32 * _MIB
MAX_COUNT_PER_HOUR = 4.0  # of threads, open files, shared-memory segments
HARNESS = 'soak itself'  # watched as well, and judged by nobody
WARM_UP_SHARE, WARM_UP_MAX_S = 0.25, 600.0

_MEASURES = {
    'rss_bytes': MAX_BYTES_PER_HOUR,
    'num_threads': MAX_COUNT_PER_HOUR,
    'num_files': MAX_COUNT_PER_HOUR,
    'num_segments': MAX_COUNT_PER_HOUR,
}


def result_of(
    tally: Tally,
    watch: Watch,
    cycles_s: list[tuple[float, float]],
    killed: dict[str, dict[str, Any]],
    options: dict[str, Any],
) -> dict[str, Any]:
    """Everything measured, and whether it passed."""
    warm_up_s = min(WARM_UP_MAX_S, WARM_UP_SHARE * watch.now_s())
    grown = {
        name: {measure: _grown(samples, measure, cycles_s, warm_up_s) for measure in _MEASURES}
        for name, samples in watch.samples.items()
    }
    grows = [
        f'{name}: {measure}'
        for name, measures in grown.items()
        if name != HARNESS
        for measure, found in measures.items()
        if found['verdict'] == 'grows'
    ]
    return {
        'passed': not tally.num_failures and not grows,
        'options': options,
        'cycles': len(cycles_s),
        'seconds': round(watch.now_s(), 1),
        'warm_up_s': round(warm_up_s, 1),
        'num_failures': tally.num_failures,
        'failures': tally.failures,
        'grows': grows,
        'phases': tally.table(),
        'killed': killed,
        'growth': grown,
        'bounds_per_hour': _MEASURES,
        'machine': f'{platform.machine()}, {platform.system()} {platform.release()}',
        'finished': time.strftime('%Y-%m-%d %H:%M:%S'),
    }


def _grown(
    samples: list[Sample], measure: str, cycles_s: list[tuple[float, float]], warm_up_s: float
) -> dict[str, Any]:
    at_s = [sample.at_s for sample in samples]
    values = [float(getattr(sample, measure)) for sample in samples]
    fitted = growth(at_s, values, cycles_s, warm_up_s)
    ends = {'least': min(values, default=0.0), 'most': max(values, default=0.0)}
    if fitted is None:
        return {'verdict': 'undecided', **ends}
    return {'verdict': fitted.verdict(_MEASURES[measure]), **asdict(fitted), **ends}


def table_of(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        f'{result["cycles"]} cycles in {result["seconds"] / 60:.1f} minutes, '
        f'{result["num_failures"]} failures: {"passed" if result["passed"] else "FAILED"}',
        '',
        '| process | memory, MiB | grown, MiB an hour | threads | files | shared memory | |',
        '| --- | --- | --- | --- | --- | --- | --- |',
    ]
    for name, measures in result['growth'].items():
        lines.append(_growth_row(name, measures))
    lines += ['', '| phase | what happened |', '| --- | --- |']
    for phase, counts in result['phases'].items():
        told = ', '.join(f'{value:g} {what}' for what, value in counts.items())
        lines.append(f'| {phase or "start"} | {told} |')
    for who, figures in result['killed'].items():
        told = ', '.join(f'{value} {what}' for what, value in figures.items())
        lines += ['', f'Killed, {who}: {told}']
    lines += ['', *(f'- failure: {text}' for text in result['failures'])]
    lines += [f'- grows: {text}' for text in result['grows']]
    return '\n'.join(lines).rstrip() + '\n'


def _growth_row(name: str, measures: dict[str, dict[str, Any]]) -> str:
    memory = measures['rss_bytes']
    least, most = memory['least'] / _MIB, memory['most'] / _MIB
    slope = 'too short a run'
    if 'per_hour' in memory:
        slope = f'{memory["per_hour"] / _MIB:.1f} ± {memory["error"] / _MIB:.1f}'
    ranges = [
        f'{measures[m]["least"]:.0f} to {measures[m]["most"]:.0f}'
        for m in ('num_threads', 'num_files', 'num_segments')
    ]
    cells = [name, f'{least:.0f} to {most:.0f}', slope, *ranges, memory['verdict']]
    return f'| {" | ".join(cells)} |'

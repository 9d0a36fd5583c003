"""Measure methods on the evaluation sets, and keep a log of every time that was done.

    python tools/final_table.py DATA --methods cerfevpr,cls --why "..." [--set a.b=c ...]

DATA holds gardens_point, sped_crops, essex3in1_crops and nordland_64x32. Nothing may be chosen by
what this prints, so each run adds its recalls and its reason to docs/evaluation_log.csv. Each line
of the table is one `cerfevpr evaluate`; the JSON files go to build/final.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOG = ROOT / 'docs' / 'evaluation_log.csv'
ENTRIES = {  # database, queries, frame tolerance
    'gardens_point day_right in day_left, frames ±2': ('day_left', 'day_right', 2),
    'gardens_point night_right in day_left, frames ±2': ('day_left', 'night_right', 2),
    'gardens_point night_right in day_right, frames ±2': ('day_right', 'night_right', 2),
    'sped_crops, one to one': ('../sped_crops/ref', '../sped_crops/query', 0),
    'essex3in1_crops, one to one': ('../essex3in1_crops/ref', '../essex3in1_crops/query', 0),
    'nordland_64x32 winter in summer, ±1 thumbnail': (
        '../nordland_64x32/summer',
        '../nordland_64x32/winter',
        10,
    ),
}


def evaluate(data: Path, entry: str, options: argparse.Namespace, number: int) -> list[dict]:
    """The methods' results on one entry, as `cerfevpr evaluate` writes them."""
    database, queries, tolerance = ENTRIES[entry]
    file = ROOT / 'build' / 'final' / f'{options.name}-{number}.json'
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, '-m', 'cerfevpr_core', 'evaluate']
    command += ['--database', str(data / 'gardens_point' / database)]
    command += ['--queries', str(data / 'gardens_point' / queries)]
    command += ['--frame-tolerance', str(tolerance), '--methods', options.methods]
    command += ['--seeds', str(options.seeds), '--json', str(file)]
    command += [part for text in options.assignments for part in ('--set', text)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads(file.read_text())['methods']


def row(entry: str, result: dict) -> str:
    """A line of docs/results.md."""
    recall = ' | '.join(f'{result["recall"][k]:.1f}' for k in ('1', '5', '10', '20'))
    precision, average = result['precision_at_full_recall'], result['average_precision']
    return (
        f'| {entry} | `{result["name"]}` | {result["descriptor_dim"]} | {recall} '
        f'| {precision:.1f} | {average:.1f} | {result["describe_ms_p50"]:.1f} |'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('data', type=Path)
    parser.add_argument('--methods', default='cerfevpr')
    parser.add_argument('--why', required=True, help='kept in the log')
    parser.add_argument('--name', default='run', help='of the JSON files')
    parser.add_argument('--seeds', type=int, default=1)
    parser.add_argument('--set', action='append', default=[], dest='assignments')
    options = parser.parse_args()
    recalls: dict[str, list[float]] = {}
    for number, entry in enumerate(ENTRIES):
        for result in evaluate(options.data, entry, options, number):
            recalls.setdefault(result['name'], []).append(result['recall']['1'])
            sys.stdout.write(row(entry, result) + '\n')
            sys.stdout.flush()
    is_new = not LOG.exists()
    with LOG.open('a', newline='', encoding='utf-8') as opened:
        writer = csv.writer(opened)
        if is_new:
            writer.writerow(['date', 'method', 'settings', 'why', 'mean', *ENTRIES])
        for method, found in recalls.items():
            mean = sum(found) / len(found)
            sys.stdout.write(f'{method}: mean recall at 1 {mean:.2f}\n')
            figures = [f'{value:.1f}' for value in (mean, *found)]
            today = datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d %H:%M')
            settings = shlex.join(options.assignments)
            writer.writerow([today, method, settings, options.why, *figures])


if __name__ == '__main__':
    main()

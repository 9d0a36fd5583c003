"""`make run`: build a map, start the real nodes, play the queries, write result and report."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.markup import escape

from cerfevpr_core.calibration.fit import calibrate_map
from cerfevpr_core.cli.options import STDERR, STDOUT, count_up, track
from cerfevpr_core.config import load_config, model_settings, parse_assignment
from cerfevpr_core.errors import ConfigError, ImageError, UncalibratedError
from cerfevpr_core.map_changes.whole import appearing_whole
from cerfevpr_core.mapping import Extras, build_map
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.place_map.manifest import FORMAT
from cerfevpr_ros.run.answers import Answers
from cerfevpr_ros.run.jobs import Job, job_of
from cerfevpr_ros.run.processes import log_of, node_process
from cerfevpr_ros.run.program import run_as_program
from cerfevpr_ros.run.report import write_run_report

LOCALIZER, REPLAY = 'cerfevpr_ros.localizer', 'cerfevpr_ros.replay'


def main(arguments: list[str] | None = None) -> int:
    """Run it; 0 done, 1 a node failed, 2 a user's error, 130 interrupted."""
    options = _parser().parse_args(arguments)
    return run_as_program(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='make run', description=__doc__)
    parser.add_argument('--map-images', type=Path, metavar='DIR')
    parser.add_argument('--query-images', type=Path, metavar='DIR')
    parser.add_argument('--bag', type=Path, metavar='BAG', help='queries from a rosbag2')
    parser.add_argument('--topic', metavar='T', help="the bag's image topic")
    parser.add_argument('--frame-tolerance', type=int, metavar='K')
    parser.add_argument('--set', action='append', default=[], dest='assignments', metavar='A.B=C')
    parser.add_argument('--out', type=Path, default=Path('build/run'), metavar='DIR')
    return parser


def _run(options: argparse.Namespace) -> int:
    out: Path = options.out
    _prepare(out)
    job = job_of(options, count_up)
    folder = _map(job, options.assignments, out)
    with PlaceMap.open(folder) as place_map:
        answers = Answers(place_map, job.num_queries, job.frame_tolerance)
        STDOUT.print(
            f'{escape(job.title)}\n{len(place_map)} keyframes, {job.num_queries} images to place'
        )
        failed = _play(job, folder, dict(map(parse_assignment, options.assignments)), answers, out)
        if failed:
            text = f'error: {failed} ended early. Its last lines:\n{log_of(failed, out)}'
            STDERR.print(text, markup=False, soft_wrap=True)
            return 1
        if not any(line['answered'] for line in answers.lines):
            read = 'no image was answered' if answers.lines else 'none of the images could be read'
            raise ImageError(f'{read}; {out}/replay.log and {out}/localizer.log say why')
        agreeing = write_run_report(job, answers, folder, out / 'report.html', _command(options))
        result = answers.result() | {'agrees_with_core': agreeing}
        (out / 'result.json').write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')
    STDOUT.print(f'\n{answers.in_words()}', soft_wrap=True)
    for what, name in (
        ('result ', 'result.json'),
        ('report ', 'report.html'),
        ('picture', 'matches.png'),
    ):
        STDOUT.print(f'{what} {out / name}', markup=False, soft_wrap=True)
    return 0


def _prepare(out: Path) -> None:
    """Room for the results, without those of an earlier run."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in ('result.json', 'report.html', 'matches.png'):
            (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f'cannot write to {out}: {error.strerror}; give another --out') from None


def _command(options: argparse.Namespace) -> str:
    """What the user typed at make."""
    names = ('map_images', 'query_images', 'bag', 'topic', 'frame_tolerance')
    given = [
        f'{n.upper()}={getattr(options, n)}' for n in names if getattr(options, n) is not None
    ]
    return ' '.join(['make run', *given])


def _map(job: Job, assignments: list[str], out: Path) -> Path:
    """The job's map, built unless an earlier run built the same one."""
    config = load_config(assignments=assignments)
    key = json.dumps([FORMAT, 'calibrated', job.map_key, model_settings(config)])
    folder = out / 'maps' / hashlib.sha256(key.encode()).hexdigest()[:12]
    if not folder.exists():
        shutil.rmtree(folder.parent, ignore_errors=True)
        folder.parent.mkdir()
        with appearing_whole(folder) as partial:  # or an interrupted one stays uncalibrated
            build_map(job.map_frames, partial, config, Extras(poses=job.map_poses), track)
            try:
                calibrate_map(partial, track)
            except UncalibratedError as error:  # the map is whole without it
                STDOUT.print(f'answers have no probability: {error}', markup=False)
    return folder


def _play(
    job: Job, folder: Path, settings: dict[str, Any], answers: Answers, out: Path
) -> str | None:
    """Start both nodes and take the answers; returns the module of a node that ended early."""
    lines_file = out / 'answers.jsonl'
    lines_file.unlink(missing_ok=True)
    replay_parameters = job.replay | {'answers': str(lines_file.resolve())}
    localizer_parameters = settings | {'map.path': str(folder.resolve())}
    STDOUT.print('starting the nodes localizer and replay')
    with (
        node_process(LOCALIZER, localizer_parameters, out) as localizer,
        node_process(REPLAY, replay_parameters, out) as replay,
    ):
        for line in _lines(lines_file, localizer, replay):
            STDOUT.print(answers.add(line), soft_wrap=True)
        if localizer.poll() is not None:
            return LOCALIZER
        return REPLAY if replay.poll() else None


def _lines(
    file: Path, localizer: subprocess.Popen[bytes], replay: subprocess.Popen[bytes]
) -> Iterator[dict[str, Any]]:
    """The lines of a growing file until the replay has ended, or the localizer too early."""
    position = 0
    while True:
        ended = replay.poll() is not None or localizer.poll() is not None
        if file.exists():
            with file.open('rb') as stream:
                stream.seek(position)
                for raw in stream:
                    if not raw.endswith(b'\n'):
                        break  # half a line: the rest comes
                    position += len(raw)
                    yield json.loads(raw)
        if ended:
            return
        time.sleep(0.02)


if __name__ == '__main__':
    sys.exit(main())

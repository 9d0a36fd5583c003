"""`make soak`: real nodes under load, floods, faults and hostile calls; does memory stay flat?"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any, TypeAlias

from cerfevpr_core.cli.options import STDERR, STDOUT
from cerfevpr_core.errors import ConfigError
from cerfevpr_ros.heaps import share_heaps
from cerfevpr_ros.run.jobs import drawn_route_map
from cerfevpr_ros.run.processes import log_of, node_process
from cerfevpr_ros.run.program import run_as_program
from cerfevpr_ros.soak.course import Nodes, course, run, stage_of
from cerfevpr_ros.soak.hostile_maps import Fence
from cerfevpr_ros.soak.kill_writers import survive
from cerfevpr_ros.soak.kills import kill_mapper
from cerfevpr_ros.soak.mapping import Drive, cleared
from cerfevpr_ros.soak.phases import Stage
from cerfevpr_ros.soak.result import HARNESS, result_of, table_of
from cerfevpr_ros.soak.rig import Rig
from cerfevpr_ros.soak.tally import Tally
from cerfevpr_ros.soak.watch import Watch

LOCALIZER, MAPPER = 'cerfevpr_ros.localizer', 'cerfevpr_ros.mapper'
_START_S = 240.0
Watched: TypeAlias = tuple[Watch, list[tuple[float, float]]]  # and (begin, end) of each cycle


def main(arguments: list[str] | None = None) -> int:
    """0 flat and sound, 1 not, 2 a user's error, 130 interrupted."""
    options = _parser().parse_args(arguments)
    share_heaps()  # it is watched as the nodes are
    return run_as_program(lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='make soak', description=__doc__)
    parser.add_argument('--minutes', type=float, default=60.0, metavar='M')
    parser.add_argument('--seed', type=int, default=0, metavar='N')
    parser.add_argument('--kills', type=int, default=24, metavar='N', help='of the mapper')
    parser.add_argument('--writer-kills', type=int, default=200, metavar='N', help='of any writer')
    parser.add_argument('--map', type=Path, metavar='MAP', help='instead of the drawn route')
    parser.add_argument('--images', type=Path, metavar='DIR', help='to play in that map')
    parser.add_argument('--out', type=Path, default=Path('build/soak'), metavar='DIR')
    return parser


def _run(options: argparse.Namespace) -> int:
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    if bool(options.map) != bool(options.images):
        raise ConfigError('give both --map and --images, or none for the drawn route')
    pristine, images = (options.map, options.images) if options.map else drawn_route_map(out)
    tally = Tally()
    with Rig(tally) as rig:
        stage = stage_of(rig, images, options.minutes, options.seed)
        watched = _soak(stage, pristine, out, options.minutes)
        if watched is None:
            return 1
        tally.phase = 'mapper killed'
        kills = kill_mapper(stage, pristine, out, options.kills)
    STDOUT.print(f'killing {options.writer_kills} writers of a map')
    writers = survive(options.writer_kills, options.seed)
    for failure in writers.pop('failures'):
        tally.failed(f'writers: {failure}')
    given = {name: getattr(options, name) for name in ('minutes', 'seed', 'kills', 'writer_kills')}
    result = result_of(tally, *watched, {'the mapper': kills, 'writers': writers}, given)
    return _report(result, out)


def _soak(stage: Stage, pristine: Path, out: Path, minutes: float) -> Watched | None:
    """Both nodes in one map, run through the course; None if they do not start."""
    root = (out / 'maps').resolve()
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(pristine, root / 'map')
    of_both = {'map.path': str(root / 'map'), 'pose_source': 'pose'}
    of_mapper = of_both | {'create_map': False}
    with (
        node_process(LOCALIZER, of_both, out) as localizer,
        node_process(MAPPER, of_mapper, out) as mapper,
    ):
        nodes, drive = {'localizer': localizer, 'mapper': mapper}, Drive(stage.rig)
        if not _is_ready(stage, drive, nodes):
            for module in (LOCALIZER, MAPPER):
                STDERR.print(f'{module}:\n{log_of(module, out)}', markup=False)
            return None
        pids = {name: process.pid for name, process in nodes.items()}
        one = course(drive, Fence.around(root), mapper.pid)
        with Watch(pids | {HARNESS: os.getpid()}) as watch:
            cycles = run(stage, one, watch, minutes, nodes)
    return watch, cycles


def _is_ready(stage: Stage, drive: Drive, nodes: Nodes) -> bool:
    """Until the localizer answers and the mapper adds; False: they do not."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and all(p.poll() is None for p in nodes.values()):
        if not stage.rig.wait_for_listener(1.0):
            continue
        answered = stage.rig.ask(stage.images[0], seconds=2.0) is not None
        if answered and drive.wait(drive.show(stage, 0), 2.0):
            cleared(stage, drive)
            return True
    return False


def _report(result: dict[str, Any], out: Path) -> int:
    (out / 'soak.json').write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')
    table = table_of(result)
    (out / 'soak.md').write_text(table, encoding='utf-8')
    STDOUT.print(table, markup=False, soft_wrap=True)
    STDOUT.print(f'result {out / "soak.json"}', markup=False, soft_wrap=True)
    return 0 if result['passed'] else 1


if __name__ == '__main__':
    sys.exit(main())

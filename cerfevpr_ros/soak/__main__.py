"""`make soak`: real nodes under load, floods, faults and hostile calls; does memory stay flat?"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from cerfevpr_core.cli.options import STDERR, STDOUT
from cerfevpr_core.errors import CerfeVPRError, ConfigError
from cerfevpr_ros.run.jobs import drawn_route_map
from cerfevpr_ros.run.processes import log_of, node_process
from cerfevpr_ros.soak.course import Nodes, course, run, stage_of
from cerfevpr_ros.soak.hostile_maps import Fence
from cerfevpr_ros.soak.mapping import Drive, cleared
from cerfevpr_ros.soak.phases import Stage
from cerfevpr_ros.soak.result import HARNESS, result_of, table_of
from cerfevpr_ros.soak.rig import Rig
from cerfevpr_ros.soak.tally import Tally
from cerfevpr_ros.soak.watch import Watch

LOCALIZER, MAPPER = 'cerfevpr_ros.localizer', 'cerfevpr_ros.mapper'
_START_S = 240.0


def main(arguments: list[str] | None = None) -> int:
    """0 flat and sound, 1 not, 2 a user's error, 130 interrupted."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format='%(levelname)s: %(message)s')
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        return _run(options)
    except CerfeVPRError as error:
        STDERR.print(f'error: {error}', markup=False, soft_wrap=True)
        return 2
    except KeyboardInterrupt:
        STDERR.print('interrupted; the nodes are stopped')
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='make soak', description=__doc__)
    parser.add_argument('--minutes', type=float, default=60.0, metavar='M')
    parser.add_argument('--seed', type=int, default=0, metavar='N')
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
    root = out / 'maps'
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(pristine, root / 'map')
    path, tally = str((root / 'map').resolve()), Tally()
    mapper_parameters = {'map.path': path, 'pose_source': 'pose', 'create_map': False}
    with (
        node_process(LOCALIZER, {'map.path': path}, out) as localizer,
        node_process(MAPPER, mapper_parameters, out) as mapper,
        Rig(tally) as rig,
    ):
        nodes = {'localizer': localizer, 'mapper': mapper}
        stage = stage_of(rig, images, options.minutes, options.seed)
        drive = Drive(rig)
        if not _is_ready(stage, drive, nodes):
            for module in (LOCALIZER, MAPPER):
                STDERR.print(f'{module}:\n{log_of(module, out)}', markup=False)
            return 1
        pids = {name: process.pid for name, process in nodes.items()}
        with Watch(pids | {HARNESS: os.getpid()}) as watch:
            one = course(drive, Fence.around(root.resolve()))
            cycles = run(stage, one, watch, options.minutes, nodes)
    result = result_of(tally, watch, cycles, options.minutes, options.seed)
    return _report(result, out)


def _is_ready(stage: Stage, drive: Drive, nodes: Nodes) -> bool:
    """Until the localizer answers and the mapper adds; False: they do not."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and all(p.poll() is None for p in nodes.values()):
        answered = stage.rig.wait_for_listener(1.0) and stage.rig.ask(stage.images[0], seconds=2.0)
        if answered is not None and drive.wait(drive.show(stage, 0), 2.0):
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

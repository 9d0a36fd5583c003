"""`make soak`: real nodes under load, floods, faults and hostile calls; does memory stay flat?"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cerfevpr_core.cli.options import STDERR, STDOUT
from cerfevpr_core.data.frames import FolderFrames
from cerfevpr_core.data.positions import read_camera
from cerfevpr_core.errors import CerfeVPRError, ConfigError
from cerfevpr_core.geometry import Camera
from cerfevpr_ros.run.jobs import drawn_route_map
from cerfevpr_ros.run.processes import log_of, node_process
from cerfevpr_ros.soak import lifecycle, phases
from cerfevpr_ros.soak.hostile import hostile
from cerfevpr_ros.soak.phases import Stage
from cerfevpr_ros.soak.result import result_of, table_of
from cerfevpr_ros.soak.rig import Rig
from cerfevpr_ros.soak.tally import Tally
from cerfevpr_ros.soak.watch import Watch

LOCALIZER = 'cerfevpr_ros.localizer'
_START_S = 180.0

CYCLE: dict[str, Callable[[Stage], None]] = {
    'steady': phases.steady,
    'flood': phases.flood,
    'counts after the flood': phases.balance,
    'stamps': phases.stamps,
    'clock': phases.sim_time,
    'camera restarts': phases.restarts,
    'camera sizes': phases.sizes,
    'bad images': phases.bad,
    'hostile calls': hostile,
    'paused': lifecycle.paused,
    'reloaded': lifecycle.reloaded,
}


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
    place_map = out / 'map'
    shutil.rmtree(place_map, ignore_errors=True)
    shutil.copytree(pristine, place_map)
    tally = Tally()
    with node_process(LOCALIZER, {'map.path': str(place_map.resolve())}, out) as localizer:
        with Rig(tally) as rig:
            stage = Stage(
                rig,
                [frame.image for frame in FolderFrames(images)],
                _camera(images),
                random.Random(options.seed),
                scale=min(1.0, options.minutes / 2),
            )
            if not _is_ready(stage, localizer):
                STDERR.print(f'the localizer does not start:\n{log_of(LOCALIZER, out)}')
                return 1
            with Watch({'localizer': localizer.pid, 'soak itself': os.getpid()}) as watch:
                cycles = _cycles(stage, watch, options.minutes, localizer)
        if localizer.poll() is not None:
            tally.failed(f'the localizer ended with code {localizer.poll()}')
    result = result_of(tally, watch, cycles, options.minutes, options.seed)
    return _report(result, out)


def _camera(images: Path) -> Camera | None:
    file = images / 'camera.yaml'
    return read_camera(file) if file.is_file() else None


def _is_ready(stage: Stage, localizer: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and localizer.poll() is None:
        if stage.rig.wait_for_listener(1.0) and stage.rig.ask(stage.images[0], seconds=2.0):
            return True
    return False


def _cycles(
    stage: Stage, watch: Watch, minutes: float, localizer: subprocess.Popen[bytes]
) -> list[tuple[float, float]]:
    """Whole cycles until the time is over, at least one; (begin, end) of each in seconds."""
    tally, cycles = stage.rig.tally, list[tuple[float, float]]()
    while not cycles or watch.now_s() < 60 * minutes:
        begin_s = watch.now_s()
        for name, phase in CYCLE.items():
            if localizer.poll() is not None:
                return cycles
            tally.phase = name
            phase_s = watch.now_s()
            phase(stage)
            tally.count('seconds', round(watch.now_s() - phase_s))
        cycles.append((begin_s, watch.now_s()))
        rss = watch.samples['localizer'][-1].rss_bytes / 2**20 if watch.samples else 0
        STDOUT.print(
            f'{watch.now_s() / 60:5.1f} min, cycle {len(cycles)}: '
            f'{tally.num_failures} failures, localizer {rss:.1f} MiB'
        )
    return cycles


def _report(result: dict[str, Any], out: Path) -> int:
    (out / 'soak.json').write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')
    table = table_of(result)
    (out / 'soak.md').write_text(table, encoding='utf-8')
    STDOUT.print(table, markup=False, soft_wrap=True)
    STDOUT.print(f'result {out / "soak.json"}', markup=False, soft_wrap=True)
    return 0 if result['passed'] else 1


if __name__ == '__main__':
    sys.exit(main())

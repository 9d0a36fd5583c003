"""The mapper killed at any instant while it maps: what it told is in the map, whole."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

from cerfevpr_core.cli.options import STDOUT
from cerfevpr_core.errors import CerfeVPRError
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_ros.run.processes import node_process
from cerfevpr_ros.soak.mapping import Drive
from cerfevpr_ros.soak.phases import Stage

MAPPER = 'cerfevpr_ros.mapper'
_START_S = 120.0
_MAX_MAPPING_S = 3.0  # before the kill comes


def kill_mapper(stage: Stage, pristine: Path, out: Path, number: int) -> dict[str, int]:
    """Kill it so often with SIGKILL, and look at the map each time.

    Failures are counted in the tally: a keyframe that was told and is not there, and damage.
    """
    folder = out / 'kills'
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(pristine, folder / 'map')
    chance, drive, num_told = random.Random(stage.random.random()), Drive(stage.rig), 0
    began_s = time.monotonic()
    for kill in range(number):
        if not _killed(stage, drive, folder, chance):
            stage.rig.tally.failed(f'the mapper did not come again before kill {kill + 1}')
            break
        _look(stage, drive, folder / 'map')
        stage.rig.tally.count('kills of the mapper')
        num_told = len(drive.added)
        STDOUT.print(f'kill {kill + 1} of {number}: {num_told} keyframes told so far')
    took_s = round(time.monotonic() - began_s)
    return {'kills': number, 'keyframes told': num_told, 'seconds': took_s}


def _killed(stage: Stage, drive: Drive, folder: Path, chance: random.Random) -> bool:
    """Start it, map for a random time, kill it; False if it does not start."""
    path = str((folder / 'map').resolve())
    with node_process(MAPPER, {'map.path': path, 'pose_source': 'pose'}, folder) as mapper:
        if not _maps(stage, drive, mapper):
            return False
        end_s = time.monotonic() + chance.uniform(0, _MAX_MAPPING_S)
        number = 0
        while time.monotonic() < end_s:
            drive.show(stage, number)  # faster than it can serve: it is always at work
            number += 1
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(mapper.pid, signal.SIGKILL)
        mapper.wait()
    time.sleep(0.3)  # what it told before still arrives
    return True


def _maps(stage: Stage, drive: Drive, mapper: subprocess.Popen[bytes]) -> bool:
    """Until it has added a keyframe."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and mapper.poll() is None:
        if drive.wait(drive.show(stage, 0), 1.0):
            return True
    return False


def _look(stage: Stage, drive: Drive, folder: Path) -> None:
    tally = stage.rig.tally
    try:
        with PlaceMap.open(folder) as place_map:
            there = {candidate.keyframe_id for candidate in place_map.store.everything()}
            problems = place_map.check()
    except CerfeVPRError as error:
        tally.failed(f'the map does not open after a kill: {error}')
        return
    if lost := set(drive.added) - there:
        tally.failed(f'keyframes {sorted(lost)} were told, and are lost after a kill')
    for problem in problems[:3]:
        tally.failed(f'after a kill: {problem}')

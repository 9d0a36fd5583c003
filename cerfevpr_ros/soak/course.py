"""The course that the nodes run, cycle after cycle, until the time is over."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cerfevpr_core.cli.options import STDOUT
from cerfevpr_core.data.frames import FolderFrames
from cerfevpr_core.data.positions import read_camera
from cerfevpr_ros.conversions import pose_to_msg
from cerfevpr_ros.soak import lifecycle, mapping, phases
from cerfevpr_ros.soak.disk import disk_full
from cerfevpr_ros.soak.hostile import hostile, parameter_calls
from cerfevpr_ros.soak.hostile_maps import Fence, bad_poses, map_calls
from cerfevpr_ros.soak.mapping import Drive
from cerfevpr_ros.soak.phases import Stage
from cerfevpr_ros.soak.rig import Rig
from cerfevpr_ros.soak.watch import Watch

Phase = Callable[[Stage], None]
Nodes = dict[str, 'subprocess.Popen[bytes]']
_MIB = 2**20


def stage_of(rig: Rig, images: Path, minutes: float, seed: int) -> Stage:
    """What every phase works with; a short run has short phases."""
    camera = images / 'camera.yaml'
    return Stage(
        rig,
        [frame.image for frame in FolderFrames(images)],
        read_camera(camera) if camera.is_file() else None,
        random.Random(seed),
        scale=min(1.0, minutes / 2),
    )


def course(drive: Drive, fence: Fence, mapper_pid: int) -> dict[str, Phase]:
    """The phases of one cycle, in their order."""
    return {
        'steady': phases.steady,
        'flood': phases.flood,
        'counts after the flood': phases.balance,
        'stamps': phases.stamps,
        'clock': phases.sim_time,
        'camera restarts': phases.restarts,
        'camera sizes': phases.sizes,
        'bad images': phases.bad,
        'mapping': partial(mapping.mapped, drive=drive),
        'bad odometry': partial(_odometry, drive=drive),
        'disk full': partial(disk_full, drive=drive, pid=mapper_pid),
        'hostile calls': partial(_hostile, fence=fence),
        'maps saved and loaded': partial(mapping.saved_and_loaded, drive=drive, root=fence.root),
        'removals': partial(mapping.cleared, drive=drive),
        'localizer paused': lifecycle.paused,
        'localizer reloaded': lifecycle.reloaded,
        'mapper paused': partial(lifecycle.paused, node='mapper'),
        'mapper reloaded': partial(lifecycle.reloaded, node='mapper'),
    }


def run(
    stage: Stage, one: dict[str, Phase], watch: Watch, minutes: float, nodes: Nodes
) -> list[tuple[float, float]]:
    """Whole cycles, at least one; (begin, end) of each in seconds. A dead node ends it."""
    tally, cycles = stage.rig.tally, list[tuple[float, float]]()
    while not cycles or watch.now_s() < 60 * minutes:
        begin_s = watch.now_s()
        for tally.phase, phase in one.items():
            phase_s = watch.now_s()
            phase(stage)
            tally.count('seconds', round(watch.now_s() - phase_s))
            for name, process in nodes.items():
                if process.poll() is not None:
                    tally.failed(f'the {name} ended with code {process.poll()}')
                    return cycles
        cycles.append((begin_s, watch.now_s()))
        _tell(stage, watch, len(cycles))
    return cycles


def _hostile(stage: Stage, fence: Fence) -> None:
    hostile(stage, (*map_calls(stage, fence), *parameter_calls('mapper')))
    if breach := fence.breach():
        stage.rig.tally.failed(breach)


def _odometry(stage: Stage, drive: Drive) -> None:
    """Poses that cannot be, and stamps out of order: whoever hears them goes on without."""
    now_ns = stage.rig.stamp_ns()
    for pose in (*bad_poses(), pose_to_msg(drive.pose())):
        for stamp_ns in (now_ns, now_ns - 10**9, now_ns + 10**12, 0):
            drive.tell(pose, stamp_ns)
            stage.rig.tally.count('poses told')
        stage.rig.ask_surely(stage.images[0], 'after a bad pose')


def _tell(stage: Stage, watch: Watch, number: int) -> None:
    memory = ', '.join(
        f'{name} {samples[-1].rss_bytes / _MIB:.1f} MiB'
        for name, samples in watch.samples.items()
        if samples
    )
    failures = stage.rig.tally.num_failures
    STDOUT.print(f'{watch.now_s() / 60:5.1f} min, cycle {number}: {failures} failures, {memory}')

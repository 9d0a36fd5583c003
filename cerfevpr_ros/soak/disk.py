"""A disk that is full while the mapper writes, and has room again later."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

from cerfevpr_msgs.srv import AddKeyframe
from cerfevpr_ros.conversions import pose_to_msg
from cerfevpr_ros.soak.mapping import Drive
from cerfevpr_ros.soak.phases import Stage
from cerfevpr_ros.soak.rig import raw_msg

_ROOM_BYTES = 16 * 1024  # less than a keyframe takes in SQLite's log


@contextmanager
def full_for(pid: int) -> Iterator[None]:
    """No write of a process beyond this place in a file succeeds, as on a full disk."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (_ROOM_BYTES, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def disk_full(stage: Stage, drive: Drive, pid: int) -> None:
    """A keyframe that finds no room is refused in words; the next one with room is added."""
    tally = stage.rig.tally
    with full_for(pid):
        for _ in range(3):
            response = _add(stage, drive)
            if response is None or response.success:
                tally.failed(f'with a full disk add_keyframe said {response}')
            elif 'internal error' in response.message or not response.message:
                tally.failed(f'with a full disk add_keyframe said {response.message!r}')
            else:
                tally.count('refused for want of room')
    response = _add(stage, drive)
    if response is None or not response.success:
        tally.failed(f'with room again add_keyframe said {response}')
    else:
        tally.count('added with room again')
        drive.added[int(response.keyframe_id)] = 0


def _add(stage: Stage, drive: Drive) -> AddKeyframe.Response | None:
    drive.place += 1
    request = AddKeyframe.Request(
        image=raw_msg(stage.images[0], stage.rig.stamp_ns()), pose=pose_to_msg(drive.pose())
    )
    response: AddKeyframe.Response | None = stage.rig.call(
        AddKeyframe, '/mapper/add_keyframe', request, 60.0
    )
    return response

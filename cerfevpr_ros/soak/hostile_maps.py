"""Hostile calls of the services that change maps, and a fence around what they may touch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from geometry_msgs.msg import Pose as PoseMsg

from cerfevpr_msgs.srv import AddKeyframe, LoadMap, RemoveKeyframe, SaveMap, UpdatePoses
from cerfevpr_ros.soak.hostile import Call
from cerfevpr_ros.soak.phases import Stage
from cerfevpr_ros.soak.rig import raw_msg

_MEGABYTE = 'x' * 1_000_000
_NAN, _INFINITE = float('nan'), float('inf')


@dataclass(frozen=True)
class Fence:
    """A folder with maps, and one beside it that no service may read from or write to."""

    root: Path
    outside: Path

    @staticmethod
    def around(root: Path) -> Fence:
        """With links in the root that lead out of it."""
        outside = root.parent / 'outside'
        (outside / 'map').mkdir(parents=True, exist_ok=True)
        (outside / 'precious').write_text('precious')
        for name, target in (('link', outside), ('loop', root / 'loop'), ('etc', Path('/etc'))):
            if not (root / name).is_symlink():
                (root / name).symlink_to(target)
        (root / 'stolen').mkdir(exist_ok=True)
        if not (root / 'stolen' / 'keyframes.sqlite').is_symlink():
            (root / 'stolen' / 'keyframes.sqlite').symlink_to(root / 'map' / 'keyframes.sqlite')
            (root / 'stolen' / 'index.faiss').symlink_to(outside / 'precious')
        return Fence(root, outside)

    def breach(self) -> str:
        """What was changed outside; empty if nothing was."""
        found = sorted(str(p.relative_to(self.outside)) for p in self.outside.rglob('*'))
        if found != ['map', 'precious']:
            return f'outside the map folder there are {found}'
        return (
            '' if (self.outside / 'precious').read_text() == 'precious' else 'it was overwritten'
        )

    def paths(self) -> list[str]:
        """Where no service may go."""
        out = str(self.outside)
        return [
            *('..', '../outside', '../outside/new', 'map/../../outside/new', './../outside'),
            *(
                out,
                f'{out}/new',
                '/',
                '/etc',
                '/etc/cerfevpr',
                '/tmp',
                '/proc/self/fd',
                '/dev/shm',
            ),
            *('link', 'link/new', 'link/map', 'loop', 'loop/new', 'etc', 'etc/new', 'stolen'),
            *('x\n', '\x1b[2J', 'a/' * 600, 'x' * 300, _MEGABYTE, '.', ''),
            *(str(self.root), f'{self.root}/../outside', 'map/keyframes.sqlite/new'),
        ]


def map_calls(stage: Stage, fence: Fence) -> Iterator[Call]:
    """Everything hostile that both nodes can be asked about maps."""
    for node in ('localizer', 'mapper'):
        for path in fence.paths():
            yield Call(LoadMap, f'/{node}/load_map', LoadMap.Request(path=path))
            if path:  # empty: the index of the map in use, which is no harm
                yield Call(SaveMap, f'/{node}/save_map', SaveMap.Request(path=path))
        yield Call(SaveMap, f'/{node}/save_map', SaveMap.Request(path='map'))
        yield Call(LoadMap, f'/{node}/load_map', LoadMap.Request(path='nothing'))
    yield from _keyframe_calls(stage)


def _keyframe_calls(stage: Stage) -> Iterator[Call]:
    image, poses = raw_msg(stage.images[0], stage.rig.stamp_ns()), list(bad_poses())
    for pose in poses:
        request = AddKeyframe.Request(image=image, pose=pose, external_id='bad pose')
        yield Call(AddKeyframe, '/mapper/add_keyframe', request)
        moved = UpdatePoses.Request(keyframe_ids=[1], poses=[pose])
        yield Call(UpdatePoses, '/mapper/update_poses', moved)
    good = _pose(w=1.0)
    for texts in ({'external_id': _MEGABYTE}, {'traverse': _MEGABYTE}, {'external_id': '\x1b[2J'}):
        request = AddKeyframe.Request(image=image, pose=good, **texts)
        yield Call(AddKeyframe, '/mapper/add_keyframe', request)
    yield Call(AddKeyframe, '/mapper/add_keyframe', AddKeyframe.Request(pose=good))
    for keyframe_id in (0, -1, 2**63 - 1, -(2**63), 10**9):
        removal = RemoveKeyframe.Request(keyframe_id=keyframe_id)
        yield Call(RemoveKeyframe, '/mapper/remove_keyframe', removal)
        moved = UpdatePoses.Request(keyframe_ids=[1, keyframe_id], poses=[good, good])
        yield Call(UpdatePoses, '/mapper/update_poses', moved)
    for external_id in (_MEGABYTE, "' OR 1=1 --", '%'):
        removal = RemoveKeyframe.Request(keyframe_id=1, external_id=external_id)
        yield Call(RemoveKeyframe, '/mapper/remove_keyframe', removal)
    lists: list[tuple[list[int], list[PoseMsg]]]
    lists = [([1, 1], [good, good]), ([1, 2], [good]), ([], [good]), (list(range(100_000)), [])]
    for ids, given in lists:
        moved = UpdatePoses.Request(keyframe_ids=ids, poses=given)
        yield Call(UpdatePoses, '/mapper/update_poses', moved)


def bad_poses() -> Iterator[PoseMsg]:
    """Not finite, too far, not of unit length."""
    for x in (_NAN, _INFINITE, 1e300):
        yield _pose(x=x, w=1.0)
    for w in (_NAN, _INFINITE, 1e-3, 1e200):
        yield _pose(w=w)


def _pose(x: float = 0.0, w: float = 0.0) -> PoseMsg:
    pose = PoseMsg()
    pose.position.x, pose.orientation.w = x, w
    return pose

"""Drive a drawn street in several ways and ask where, image by image, alone and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from cerfevpr_core.config import Config
from cerfevpr_core.data.drawn_route import VIEWPOINTS, DrawnRoute, write_traverse
from cerfevpr_core.data.frames import FolderFrames, Frame, FrameSource
from cerfevpr_core.data.positions import PoseTable
from cerfevpr_core.geometry import Pose
from cerfevpr_core.images import Image
from cerfevpr_core.mapping import Extras, Track, build_map
from cerfevpr_core.place_map import Candidate
from cerfevpr_core.recognizer import PlaceRecognizer, StageClock
from cerfevpr_core.sequence import Motion, SequenceFilter
from cerfevpr_core.view import View

from .ways import Way

_TOLERANCE = 2  # frames
_SETTLED = 3  # right images in a row: the robot has been found again
_SLIP = 0.05  # of the distance driven, the odometry's error

NumberedTrack = Callable[[Iterable[int], str, int], Iterable[int]]


@dataclass(frozen=True)
class Seen:
    """One image of a street as single-image stages left it; `pose` is that of the camera."""

    view: View
    candidates: list[Candidate]
    pose: Pose


@dataclass(frozen=True)
class Drive:
    """Of one way: percentages of right images, and what `nowhere` was, inside and outside.

    `react` counts images after each change until three in a row are right; None: never.
    """

    name: str
    num_images: int
    alone: float
    in_order: float
    by_odometry: float
    react: tuple[int | None, ...]
    nowhere_inside: float
    nowhere_outside: float | None
    ms_p50: float


class SmallFrames:
    """Frames of a source, shrunk: small pictures are hard to tell apart one by one."""

    def __init__(self, frames: FrameSource, width_px: int) -> None:
        self.frames, self.width_px = frames, width_px

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.frames:
            yield replace(frame, image=_shrunk(frame.image, self.width_px))


def draw_map(route: DrawnRoute, folder: Path, config: Config, width_px: int, track: Track) -> Path:
    """The map of a street in summer, with poses."""
    street, out = folder / 'street', folder / 'map'
    write_traverse(route, street, 'summer')
    extras = Extras(poses=PoseTable(street / 'poses.txt'))
    build_map(SmallFrames(FolderFrames(street), width_px), out, config, extras, track)
    return out


def look(
    recognizer: PlaceRecognizer,
    route: DrawnRoute,
    condition: str,
    width_px: int,
    track: NumberedTrack,
) -> list[Seen]:
    """All frames of a street from beside the map's viewpoint, each by itself."""
    viewpoint, found = VIEWPOINTS['shifted'], []
    for number in track(range(route.num_frames), condition, route.num_frames):
        frame = route.frame(number, condition, *viewpoint)
        view = recognizer.describe(_shrunk(frame.image, width_px))
        found.append(Seen(view, recognizer.rank(view, recognizer.config.map.top_k), frame.pose))
    return found


def drive(
    recognizer: PlaceRecognizer, way: Way, street: Sequence[Seen], other: Sequence[Seen]
) -> Drive:
    """One way, alone, in order and with odometry."""
    images = [street[n] if n >= 0 else other[-1 - n] for n in way.frames]
    alone = [int(seen.candidates[0].name.split('.')[0]) for seen in images]
    found, nowhere, times_ms = _follow(recognizer, images, [None] * len(images))
    driven, _, _ = _follow(recognizer, images, _odometry(way, images))
    inside = np.array(way.frames) >= 0
    right = _right(way, found)
    outside = float(nowhere[~inside].mean()) if (~inside).any() else None
    return Drive(
        way.name,
        len(images),
        100 * float(_right(way, alone)[inside].mean()),
        100 * float(right[inside].mean()),
        100 * float(_right(way, driven)[inside].mean()),
        tuple(_reaction(right, at) for at in way.changes if inside[at]),
        float(nowhere[inside].mean()),
        outside,
        float(np.median(times_ms)),
    )


def _shrunk(image: Image, width_px: int) -> Image:
    size = (width_px, max(1, round(width_px * image.shape[0] / image.shape[1])))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _follow(
    recognizer: PlaceRecognizer, images: Sequence[Seen], motions: Sequence[Motion | None]
) -> tuple[list[int], np.ndarray, list[float]]:
    """Frames of the best keyframes, chances of nowhere, and times."""
    sequence = SequenceFilter(recognizer.config.sequence, recognizer.place_map)
    found, nowhere, times_ms = [], [], []
    for seen, motion in zip(images, motions, strict=True):
        clock = StageClock()
        followed = sequence.follow(seen.view.descriptor, seen.candidates, motion)
        clock.stop('sequence')
        found.append(int(followed.candidates[0].name.split('.')[0]))
        nowhere.append(followed.nowhere)
        times_ms.append(clock.stage_ms['sequence'])
    return found, np.array(nowhere), times_ms


def _odometry(way: Way, images: Sequence[Seen]) -> list[Motion | None]:
    """True motions with an error in their length; none where the robot is put elsewhere."""
    rng = np.random.default_rng(0)
    motions: list[Motion | None] = [None]
    for number, (before, now) in enumerate(pairwise(images), start=1):
        if number in way.changes:
            motions.append(None)
            continue
        relative = Motion.between(before.pose, now.pose).relative
        scaled = np.array(relative.position_m) * (1 + rng.normal(0, _SLIP))
        x, y, z = (float(value) for value in scaled)
        moved = Pose((x, y, z), relative.quaternion)
        motions.append(Motion(moved, 2 * _SLIP * float(np.linalg.norm(scaled))))
    return motions


def _right(way: Way, found: Sequence[int]) -> np.ndarray:
    frames = np.array(way.frames)
    return (frames >= 0) & (np.abs(np.array(found) - frames) <= _TOLERANCE)


def _reaction(right: np.ndarray, since: int) -> int | None:
    for number in range(since, len(right) - _SETTLED + 1):
        if right[number : number + _SETTLED].all():
            return number - since
    return None

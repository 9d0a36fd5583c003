"""What is asked: images of the map's own street, and of places the map does not hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cerfevpr_core.data.drawn_route import CONDITIONS, DEFAULT_CAMERA, VIEWPOINTS, DrawnRoute
from cerfevpr_core.data.relocalization import PosedFrames, RelocalizationSet
from cerfevpr_core.data.relocalization.drawn import DrawnFrames
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.images import Image, list_images, read_image


@dataclass(frozen=True)
class Question:
    """An image with its camera; `pose` is the true one, None where the map has none for it."""

    name: str
    image: Image
    camera: Camera
    pose: Pose | None


@dataclass(frozen=True)
class Questions:
    """Questions of one kind, read one at a time."""

    name: str
    in_map: bool
    numbers: range
    read: Callable[[int], Question]

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[Question]:
        return map(self.read, self.numbers)


def of_the_street(data: RelocalizationSet, every: int) -> list[Questions]:
    """Every `every`-th query of each condition and viewpoint of the map's street."""
    return [
        _of_frames(frames, condition, True, every) for condition, frames in data.queries.items()
    ]


def of_other_streets(seed: int, num_frames: int, every: int) -> list[Questions]:
    """The same of another street, which has other houses in other places."""
    route = DrawnRoute(seed, num_frames)
    return [
        _of_frames(DrawnFrames(route, condition, viewpoint, False), f'seed {seed}', False, every)
        for condition in CONDITIONS
        for viewpoint in VIEWPOINTS
    ]


def of_folder(folder: Path, every: int) -> Questions:
    """Images of a folder, as if a camera with the map's field of view had taken them."""
    files = list_images(folder)

    def read(number: int) -> Question:
        image = read_image(files[number])
        return Question(files[number].name, image, _as_wide(image), None)

    return Questions(
        f'{folder.parent.name}/{folder.name}', False, range(0, len(files), every), read
    )


def _of_frames(frames: PosedFrames, name: str, in_map: bool, every: int) -> Questions:
    def read(number: int) -> Question:
        frame = frames.frame(number)
        return Question(frame.name, frame.image, frames.camera, frame.pose if in_map else None)

    return Questions(name, in_map, range(0, len(frames), every), read)


def _as_wide(image: Image) -> Camera:
    height, width = image.shape[:2]
    focal = DEFAULT_CAMERA.fx * max(height, width) / DEFAULT_CAMERA.width_px
    middle = {'cx': (width - 1) / 2, 'cy': (height - 1) / 2}
    return replace(DEFAULT_CAMERA, width_px=width, height_px=height, fx=focal, fy=focal, **middle)

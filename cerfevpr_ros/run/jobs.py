"""What `make run` maps and plays: the drawn route, a user's folders, or a bag."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cerfevpr_core.calibration.fit import calibrate_map
from cerfevpr_core.config import Config
from cerfevpr_core.data.depth_images import DepthImages
from cerfevpr_core.data.drawn_route import DrawnRoute, write_traverse
from cerfevpr_core.data.frames import (
    BagFrames,
    EveryNth,
    FolderFrames,
    FrameSource,
    frame_number,
)
from cerfevpr_core.data.positions import PoseTable, read_camera
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.map_changes.whole import appearing_whole
from cerfevpr_core.mapping import Extras, build_map, no_progress

ROUTE_TOLERANCE = 2  # frames: 4 m along the drawn route

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """What is mapped, what is played, and when a match is right."""

    title: str
    map_frames: FrameSource
    map_key: str  # changes when the map must be built again
    replay: dict[str, Any]  # parameters of the replay node
    query_frames: FrameSource
    frame_tolerance: int | None  # None: nobody knows the truth
    map_poses: PoseTable | None = None
    query_poses: PoseTable | None = None

    @property
    def num_queries(self) -> int:
        """How many images will be played."""
        return len(self.query_frames)


def job_of(options: argparse.Namespace, draw: Callable[[str], Progress]) -> Job:
    """The job that a command line asks for. Raises ConfigError, ImageError."""
    if options.frame_tolerance is not None and options.frame_tolerance < 0:
        raise ConfigError(f'FRAME_TOLERANCE={options.frame_tolerance}: expected 0 or more')
    if options.query_images and options.bag:
        raise ConfigError('give QUERY_IMAGES or BAG, not both: the queries come from one of them')
    if options.bag:
        return _bag_job(options)
    if options.map_images or options.query_images:
        return _folder_job(options)
    return _drawn_job(options.out.parent / 'route', options.frame_tolerance, draw)


def _folder_job(options: argparse.Namespace) -> Job:
    if not (options.map_images and options.query_images):
        raise ConfigError(
            'give both MAP_IMAGES=DIR and QUERY_IMAGES=DIR, or MAP_IMAGES=DIR and BAG=BAG'
        )
    database, queries = FolderFrames(options.map_images), FolderFrames(options.query_images)
    if options.frame_tolerance is not None:
        for file in (*database.files, *queries.files):
            frame_number(file.name)  # a name without a number is an error now, not in the middle
    return Job(
        f'{options.query_images} in {options.map_images}',
        database,
        _key(options.map_images),
        {'images': str(options.query_images.resolve())},
        queries,
        options.frame_tolerance,
    )


def _bag_job(options: argparse.Namespace) -> Job:
    frames = BagFrames(options.bag, options.topic)
    replay: dict[str, Any] = {'bag': str(options.bag.resolve()), 'topic': frames.topic.name}
    if options.map_images:
        return Job(
            f'{options.bag} in {options.map_images}',
            FolderFrames(options.map_images),
            _key(options.map_images),
            replay,
            frames,
            options.frame_tolerance,
        )
    # A bag alone is its own map: every second image, and the others are the queries.
    return Job(
        f'every second image of {options.bag} in a map of the others',
        EveryNth(frames, 0, 2),
        _key(options.bag, frames.topic.name),
        replay | {'first': 1, 'every': 2},
        EveryNth(frames, 1, 2),
        options.frame_tolerance,
    )


def drawn_route_map(folder: Path) -> tuple[Path, Path]:
    """The drawn route's map and the images to play in it, made below `folder` if need be.

    The map knows depth, so that the images get poses.
    """
    silent = lambda what: lambda done, count: None  # noqa: E731
    summer, night = _draw_route(folder / 'route-with-depth', silent, depth=True)
    place_map = folder / f'calibrated-map-with-depth-{_key(summer)[:12]}'
    if not place_map.exists():
        known = Extras(
            poses=PoseTable(summer / 'poses.txt'),
            camera=read_camera(summer / 'camera.yaml'),
            depth=DepthImages(summer / 'depth'),
        )
        with appearing_whole(place_map) as partial:  # or an interrupted one stays uncalibrated
            build_map(FolderFrames(summer), partial, Config(), known)
            calibrate_map(partial, no_progress)
    return place_map, night


def _drawn_job(folder: Path, tolerance: int | None, draw: Callable[[str], Progress]) -> Job:
    summer, night = _draw_route(folder, draw)
    return Job(
        'the drawn route: by night and from the other lane, in a map made in summer',
        FolderFrames(summer),
        _key(summer),
        {'images': str(night.resolve())},
        FolderFrames(night),
        ROUTE_TOLERANCE if tolerance is None else tolerance,
        PoseTable(summer / 'poses.txt'),
        PoseTable(night / 'poses.txt'),
    )


def _draw_route(
    folder: Path, draw: Callable[[str], Progress], depth: bool = False
) -> tuple[Path, Path]:
    """Two traverses: summer for the map; night, from the other lane, for the queries."""
    summer, night = folder / 'summer_centre', folder / 'night_shifted'
    route = DrawnRoute()
    for out, condition, viewpoint in ((summer, 'summer', 'centre'), (night, 'night', 'shifted')):
        if not out.exists():
            out.parent.mkdir(parents=True, exist_ok=True)
            has_depth = depth and out == summer
            progress = draw(f'drawing {out.name}')
            write_traverse(route, out, condition, viewpoint, has_depth, progress)
    return summer, night


def _key(source: Path, *more: str) -> str:
    """Names, sizes and times of the files: another listing, another map."""
    digest = hashlib.sha256('\0'.join((str(source.resolve()), *more)).encode())
    files = sorted(f for f in source.iterdir() if f.exists()) if source.is_dir() else [source]
    for file in files:
        found = file.stat()
        digest.update(f'{file.name} {found.st_size} {found.st_mtime_ns}\n'.encode())
    return digest.hexdigest()

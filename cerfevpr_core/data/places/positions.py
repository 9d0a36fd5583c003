"""Places by position: images taken within a few metres that look the same way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.neighbors import KDTree

from cerfevpr_core.config import TrainConfig
from cerfevpr_core.data.places.folders import images_of, subfolders
from cerfevpr_core.data.places.place import Place
from cerfevpr_core.data.positions import PoseTable, position_in_name, read_positions
from cerfevpr_core.errors import ConfigError


@dataclass(frozen=True)
class Shot:
    """An image, where it was taken, and which way the camera looked if that is known."""

    file: Path
    x_m: float
    y_m: float
    heading_deg: float | None = None


def read_traverses(root: Path, config: TrainConfig) -> tuple[list[Place], int]:
    """Places across traverses of one frame, and how many images have no position.

    The root, or each folder below it, holds images with `poses.txt` (TUM form) or
    `positions.csv` (name,x_m,y_m) beside them, or UTM in the names.
    """
    folders = [root] if images_of(root) else subfolders(root)
    shots: list[Shot] = []
    num_lost = 0
    for folder in folders:
        found = [_shot(f, table) for table in [_Positions(folder)] for f in images_of(folder)]
        shots += [shot for shot in found if shot is not None]
        num_lost += sum(shot is None for shot in found)
    if not shots:
        raise ConfigError(
            f'no image below {root} has a position; put poses.txt (name x y z qx qy qz qw) or '
            'positions.csv (name,x_m,y_m) beside the images'
        )
    return group(shots, config, str(root)), num_lost


def group(shots: Sequence[Shot], config: TrainConfig, frame: str) -> list[Place]:
    """Each image is of one place: within `radius_m` of its first image, turned at most so far.

    The images with most neighbours come first, so that few are left alone.
    """
    xy = np.array([(shot.x_m, shot.y_m) for shot in shots])
    near = KDTree(xy).query_radius(xy, config.radius_m)
    alike = [
        [int(j) for j in sorted(row) if _turn_deg(shots[i], shots[int(j)]) <= config.max_turn_deg]
        for i, row in enumerate(near)
    ]
    places, taken = [], np.zeros(len(shots), bool)
    for first in sorted(range(len(shots)), key=lambda i: -len(alike[i])):
        if taken[first]:
            continue
        members = [j for j in alike[first] if not taken[j]]
        taken[members] = True
        position = (float(xy[first, 0]), float(xy[first, 1]))
        files = tuple(shots[j].file for j in members)
        places.append(Place(shots[first].file.stem, files, position, frame))
    return places


def has_positions(folder: Path) -> bool:
    """Whether a folder says where its images were taken."""
    return any((folder / name).is_file() for name in ('poses.txt', 'positions.csv'))


class _Positions:
    """What is known of the positions of a folder's images."""

    def __init__(self, folder: Path) -> None:
        poses, positions = folder / 'poses.txt', folder / 'positions.csv'
        self.poses = PoseTable(poses) if poses.is_file() else None
        self.xy = read_positions(positions) if positions.is_file() else {}


def _shot(file: Path, known: _Positions) -> Shot | None:
    pose = known.poses.find(file.name) if known.poses else None
    if pose is not None:
        forward = pose.matrix()[:2, 2]
        heading = math.degrees(math.atan2(forward[1], forward[0]))
        return Shot(file, pose.position_m[0], pose.position_m[1], heading)
    xy = known.xy.get(file.name) or known.xy.get(file.stem) or position_in_name(file.name)
    return Shot(file, *xy) if xy else None


def _turn_deg(shot0: Shot, shot1: Shot) -> float:
    if shot0.heading_deg is None or shot1.heading_deg is None:
        return 0.0
    return abs((shot0.heading_deg - shot1.heading_deg + 180) % 360 - 180)

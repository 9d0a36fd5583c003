"""A program that changes a map without an end, and tells each change before and after it.

What it does is known from a seed and what the map held, so that who kills it can tell afterwards
what must be there. It imports no torch: it is started hundreds of times.
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cerfevpr_core.geometry import Pose
from cerfevpr_core.map_changes.merge import merge_maps
from cerfevpr_core.place_map import Keyframe, Manifest, PlaceMap

DIM = 64
MANIFEST = Manifest('model', {'method': 'grid'}, DIM)

_LIKELY = {'add': 8, 'remove': 4, 'poses': 4, 'calibrate': 2, 'index': 3, 'copy': 1, 'merge': 1}
_ENOUGH = 60  # keyframes; with more, removals are larger


@dataclass(frozen=True)
class Change:
    """One change that is about to be made; `folder` is that of a new map."""

    kind: str
    ids: list[int] = field(default_factory=list)
    keyframes: list[Keyframe] = field(default_factory=list)
    poses: list[Pose] = field(default_factory=list)
    calibration: bytes = b''
    folder: str = ''


def planned(seed: int, step: int, ids: list[int]) -> Change:
    """What writer `seed` does in this step to a map with these keyframes, ascending."""
    chance = random.Random(f'{seed} {step}')
    (kind,) = chance.choices(list(_LIKELY), list(_LIKELY.values()))
    if kind in ('remove', 'poses') and ids:
        most = 30 if kind == 'remove' and len(ids) > _ENOUGH else 4
        some = sorted(chance.sample(ids, min(len(ids), chance.randint(1, most))))
        return Change(kind, some, poses=[_pose(chance) for _ in some])
    if kind == 'calibrate':
        return Change(kind, calibration=chance.randbytes(chance.randint(1, 20_000)))
    if kind in ('index', 'copy', 'merge'):
        return Change(kind, folder=f'{kind}-{seed}-{step}')
    count = chance.randint(1, 4)
    return Change('add', keyframes=[_keyframe(chance, f'{seed}-{step}-{i}') for i in range(count)])


def write(map_folder: str, other_folder: str, told: str, seed: int) -> None:
    """Change the map until killed; what is done is appended to the file `told`, a line each."""
    root = Path(map_folder).parent
    file = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with PlaceMap.open(Path(map_folder)) as place_map:
        for step in range(1_000_000):
            change = planned(seed, step, place_map.store.ids().tolist())
            _tell(file, {'begun': step})
            ids = _make(place_map, change, Path(other_folder), root)
            _tell(file, {'done': step, 'ids': ids})


def _make(place_map: PlaceMap, change: Change, other: Path, root: Path) -> list[int]:
    """On return it is acknowledged; the ids of new keyframes."""
    if change.kind == 'add':
        return place_map.add(change.keyframes)
    if change.kind == 'remove':
        place_map.remove(change.ids)
    elif change.kind == 'poses':
        place_map.update_poses(change.ids, change.poses)
    elif change.kind == 'calibrate':
        place_map.set_calibration(change.calibration)
    elif change.kind == 'index':
        place_map.derived.saved = False
        place_map.save()
    elif change.kind == 'copy':
        place_map.save(root / change.folder)
    else:
        merge_maps([place_map.folder, other], root / change.folder)
    return []


def _tell(file: int, what: dict[str, Any]) -> None:
    os.write(file, f'{json.dumps(what)}\n'.encode())  # at once, so that a kill leaves no half line


def _keyframe(chance: random.Random, name: str) -> Keyframe:
    vectors = np.random.default_rng(chance.getrandbits(32)).normal(
        size=(chance.randint(1, 3), DIM)
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Keyframe(
        name,
        vectors.astype(np.float32),
        external_id=name,
        traverse=chance.choice(['', 'day', 'night']),
        stamp_ns=chance.getrandbits(62),
        pose=_pose(chance) if chance.random() < 0.7 else None,
        thumbnail=chance.randbytes(chance.randint(0, 30_000)),
        size_px=(240, 320),
        local_features={'landmarks': chance.randbytes(chance.randint(1, 10_000))},
    )


def _pose(chance: random.Random) -> Pose:
    angle = chance.uniform(-3, 3)
    position_m = (chance.uniform(-9, 9), chance.uniform(-9, 9), 0.5)
    return Pose(position_m, (0.0, 0.0, float(np.sin(angle)), float(np.cos(angle))))

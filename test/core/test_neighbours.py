"""Keyframes around another one, whose points join it in a pose."""

from __future__ import annotations

import numpy as np

from cerfevpr_core.geometry import Pose
from cerfevpr_core.place_map import Keyframe, Manifest, PlaceMap

AHEAD = (0.0, 0.0, 0.0, 1.0)  # looks along z
BEHIND = (0.0, 1.0, 0.0, 0.0)  # turned by 180 degrees about y


def keyframe(x_m: float, turn: tuple[float, ...] = AHEAD, has_points: bool = True) -> Keyframe:
    vector = np.ones((1, 4), np.float32) / 2
    pose = Pose((x_m, 0.0, 0.0), turn)  # type: ignore[arg-type]
    return Keyframe(f'{x_m}', vector, pose=pose, has_points=has_points)


def test_the_nearest_with_points_that_look_the_same_way(tmp_path) -> None:
    with PlaceMap.create(tmp_path / 'map', Manifest('model', {}, 4)) as place_map:
        place_map.add(
            [
                keyframe(0.0, has_points=False),
                keyframe(3.0),
                keyframe(1.0, BEHIND),
                keyframe(2.0),
                keyframe(0.5, has_points=False),
                Keyframe('unposed', np.ones((1, 4), np.float32) / 2, has_points=True),
            ]
        )
        first, *_, last = place_map.store.everything()
        assert place_map.neighbours(first, 4, 45.0) == [4, 2]
        assert place_map.neighbours(first, 1, 45.0) == [4]
        assert place_map.neighbours(first, 4, 180.0) == [3, 4, 2]
        assert place_map.neighbours(last, 4, 45.0) == []  # it has no pose
        place_map.add([keyframe(0.1)])  # one that is added counts at once
        assert place_map.neighbours(first, 1, 45.0) == [7]

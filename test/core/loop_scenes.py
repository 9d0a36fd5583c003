"""A made-up drive: places whose points and descriptors are known, seen from near their middle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from samples import unit_vectors
from verification_scenes import CAMERA, SIZE, descriptors, pose_at, scattered, seen

from cerfevpr_core.config import load_config
from cerfevpr_core.geometry import Pose
from cerfevpr_core.loop_closure import LoopAnswer, LoopCloser
from cerfevpr_core.place_map import Manifest, PlaceMap
from cerfevpr_core.view import View, keyframe

DIM = 64
PLACES = unit_vectors(1000, DIM, seed=3)
BAR = {'verification.detector': 'orb', 'loop.min_images': 5, 'loop.quiet_images': 3}


class Robot:
    """Sees places by number; keyframes have a camera, poses and depth only where asked for."""

    def __init__(self, folder: Path, **more: object) -> None:
        named = {f'loop.{name}': value for name, value in more.items()}
        self.config = load_config(overrides=BAR | named)
        manifest = Manifest('model', {'verification.mode': 'always'}, DIM)
        self.place_map = PlaceMap.create(folder, manifest)
        self.closer = LoopCloser(self.config, self.place_map)
        self.number = 0

    def see(
        self,
        place: int,
        points_of: int | None = None,
        stamp_s: float = 0,
        pose: Pose | None = None,
        calibrated: bool = False,
        share: float = 1.0,
    ) -> LoopAnswer:
        """A keyframe of a place, its points those of another where so said.

        `share` of the points are seen; a pose in the map gives them depth.
        """
        self.number += 1
        rng = np.random.default_rng(place if points_of is None else points_of)
        points, rows = scattered(rng, 150, (2, 8)), descriptors(rng, 150)
        own = np.random.default_rng(10_000 + self.number)
        beside = pose_at((*own.normal(0, 0.2, 2), own.normal(0, 0.2)), own.normal(0, 0.02, 3))
        hidden = own.permutation(150)[round(150 * share) :]
        rows[hidden] = descriptors(own, len(hidden))
        depth = 0.0 if pose is not None else None
        found = seen(points, beside, rows, own, noise_px=0.5, depth_share=depth)
        in_map = None
        if pose is not None:
            in_map = Pose.from_matrix(pose.matrix() @ beside.matrix())
        view = View(np.zeros((*SIZE, 3), np.uint8), PLACES[place], None, found)
        made = keyframe(
            view,
            f'{self.number}',
            0,
            stamp_ns=int(stamp_s * 1e9),
            pose=in_map,
            camera=CAMERA if calibrated else None,
            external_id=f'slam {self.number}',
        )
        (keyframe_id,) = self.place_map.add([made])
        self.beside = beside
        return self.closer.update(keyframe_id, view)

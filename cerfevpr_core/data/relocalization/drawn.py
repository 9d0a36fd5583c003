"""The drawn route as map and queries: summer from the centre, against everything else."""

from __future__ import annotations

from cerfevpr_core.data.drawn_route import CONDITIONS, VIEWPOINTS, DrawnRoute

from .posed import Nearby, PosedFrame, RelocalizationSet

MAP = ('summer', 'centre')
# Keyframes stand 2 m apart and see some 50 m ahead: from 10 m off most of a view is the same.
NEARBY = Nearby(radius_m=10.0, turn_deg=30.0)


class DrawnFrames:
    """One traverse of a route."""

    def __init__(self, route: DrawnRoute, condition: str, viewpoint: str, depth: bool) -> None:
        self.route, self.condition, self.viewpoint = route, condition, viewpoint
        self.depth = depth
        self.camera = route.camera

    def __len__(self) -> int:
        return self.route.num_frames

    def frame(self, number: int) -> PosedFrame:
        """One frame, drawn."""
        drawn = self.route.frame(number, self.condition, *VIEWPOINTS[self.viewpoint])
        name = f'{self.condition}-{self.viewpoint}/{number:06}'
        return PosedFrame(name, drawn.image, drawn.pose, drawn.depth_m if self.depth else None)


def drawn_relocalization(seed: int = 0, num_frames: int = 160) -> RelocalizationSet:
    """Every condition from both viewpoints; only the map knows its depth."""
    route = DrawnRoute(seed, num_frames)
    queries = {
        f'{condition}, {viewpoint}': DrawnFrames(route, condition, viewpoint, depth=False)
        for condition in CONDITIONS
        for viewpoint in VIEWPOINTS
        if (condition, viewpoint) != MAP
    }
    name = f'drawn route, seed {seed}'
    return RelocalizationSet(name, DrawnFrames(route, *MAP, depth=True), queries, NEARBY)

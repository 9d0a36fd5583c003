"""A map as a viewer shows it: where its keyframes stand and look, by traverse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cerfevpr_core.palette import SERIES
from cerfevpr_core.place_map import Candidate

Point = tuple[float, float, float]
Color = tuple[float, float, float, float]  # red, green, blue, alpha, each 0 to 1

_GAZE_M = 0.5  # length of the line in which a keyframe looks


@dataclass
class TraverseScene:
    """`positions_m` of the keyframes with a pose; `gazes_m` are pairs of points, from and to."""

    name: str
    color: Color
    positions_m: list[Point] = field(default_factory=list)
    gazes_m: list[Point] = field(default_factory=list)


def map_scene(keyframes: Iterable[Candidate]) -> list[TraverseScene]:
    """One scene for each traverse, in the order of the names; keyframes without a pose are left
    out."""
    scenes: dict[str, TraverseScene] = {}
    posed = sorted((k for k in keyframes if k.pose is not None), key=lambda k: k.traverse)
    for keyframe in posed:
        color = rgba(SERIES[len(scenes) % len(SERIES)], 0.9)
        scene = scenes.setdefault(keyframe.traverse, TraverseScene(keyframe.traverse, color))
        assert keyframe.pose is not None
        start = keyframe.pose.position_m
        x, y, z = (float(v) for v in start + _GAZE_M * keyframe.pose.matrix()[:3, 2])
        scene.positions_m.append(start)
        scene.gazes_m += [start, (x, y, z)]
    return list(scenes.values())


def confidences(candidates: Sequence[Candidate]) -> list[float]:
    """How much each candidate stands out, 0.15 to 1: its probability, or else its similarity
    between the last one's and the first one's."""
    if not candidates:
        return []
    if all(c.probability is not None for c in candidates):
        return [max(0.15, float(c.probability or 0.0)) for c in candidates]
    best, least = candidates[0].similarity, min(c.similarity for c in candidates)
    spread = max(best - least, 1e-9)
    return [min(1.0, 0.15 + 0.85 * max(0.0, c.similarity - least) / spread) for c in candidates]


def rgba(hex_color: str, alpha: float) -> Color:
    """`#rrggbb` as parts of one."""
    red, green, blue = (int(hex_color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue, alpha

"""A map and an answer as markers, for RViz and Foxglove."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from cerfevpr_core.ellipsoid import confidence_ellipsoid
from cerfevpr_core.map_scene import Color, TraverseScene, confidences, rgba
from cerfevpr_core.match_picture import DECISIONS
from cerfevpr_core.palette import INK, TRUTH
from cerfevpr_core.recognizer import Recognition
from cerfevpr_ros.conversions import pose_to_msg

_KEYFRAME_M, _CANDIDATE_M, _LINE_M, _GAZE_M = 0.25, 0.6, 0.08, 0.04


def map_markers(scenes: Sequence[TraverseScene], header: Header) -> MarkerArray:
    """All keyframes with a pose: points and lines of sight, a colour for each traverse.

    What was shown before goes away, also the last answer.
    """
    markers = [Marker(header=header, action=Marker.DELETEALL)]
    for number, scene in enumerate(scenes):
        name, color = scene.name or 'unnamed', scene.color
        spheres = _marker(header, f'map/{name}', number, Marker.SPHERE_LIST, _KEYFRAME_M, color)
        spheres.points = _points(scene.positions_m)
        gazes = _marker(header, f'map/{name}/gaze', number, Marker.LINE_LIST, _GAZE_M, color)
        gazes.points = _points(scene.gazes_m)
        markers += [spheres, gazes]
    return MarkerArray(markers=markers)


def answer_markers(found: Recognition, header: Header) -> MarkerArray:
    """The candidates, the brighter the more likely, and the verified pose with a line to its
    keyframe; what this answer has not replaces the last one's by nothing."""
    markers = [_candidates(found, header)]
    if found.pose is None:
        gone = ('pose', 'pose/covariance', 'pose/keyframe')
        markers += [Marker(header=header, ns=name, action=Marker.DELETE) for name in gone]
        return MarkerArray(markers=markers)
    color = rgba(DECISIONS[found.decision][1], 1.0)
    arrow = _marker(header, 'pose', 0, Marker.ARROW, 0.0, color)
    start = found.pose.pose.position_m
    arrow.points = _points([start, _ahead(found)])
    arrow.scale = Vector3(x=0.1, y=0.25, z=0.3)  # of shaft and head
    markers.append(arrow)
    reach = confidence_ellipsoid(start, found.pose.covariance[:3, :3])
    ball = _marker(header, 'pose/covariance', 0, Marker.SPHERE, 0.0, rgba(TRUTH, 0.4))
    ball.pose = pose_to_msg(reach.pose)
    x, y, z = reach.diameters_m
    ball.scale = Vector3(x=x, y=y, z=z)
    markers += [ball, _line_to_keyframe(found, header)]
    return MarkerArray(markers=markers)


def _candidates(found: Recognition, header: Header) -> Marker:
    posed = [c for c in found.candidates if c.pose is not None]
    if not posed:
        return Marker(header=header, ns='candidates', action=Marker.DELETE)
    base = DECISIONS[found.decision][1]
    spheres = _marker(header, 'candidates', 0, Marker.SPHERE_LIST, _CANDIDATE_M, rgba(base, 1.0))
    spheres.points = _points([c.pose.position_m for c in posed if c.pose is not None])
    spheres.colors = [_color(rgba(base, alpha)) for alpha in confidences(posed)]
    return spheres


def _line_to_keyframe(found: Recognition, header: Header) -> Marker:
    assert found.pose is not None
    of = {c.keyframe_id: c.pose for c in found.candidates if c.pose is not None}
    keyframe = next((of[i] for i in found.pose.keyframe_ids if i in of), None)
    if keyframe is None:
        return Marker(header=header, ns='pose/keyframe', action=Marker.DELETE)
    line = _marker(header, 'pose/keyframe', 0, Marker.LINE_STRIP, _LINE_M, rgba(INK, 1.0))
    line.points = _points([found.pose.pose.position_m, keyframe.position_m])
    return line


def _ahead(found: Recognition) -> tuple[float, float, float]:
    """Where the camera looks, a metre in front of it."""
    assert found.pose is not None
    matrix = found.pose.pose.matrix()
    x, y, z = (float(v) for v in matrix[:3, 3] + matrix[:3, 2])
    return x, y, z


def _marker(
    header: Header, name: str, number: int, kind: int, size_m: float, color: Color
) -> Marker:
    marker = Marker(header=header, ns=name, id=number, type=kind, action=Marker.ADD)
    marker.pose.orientation.w = 1.0
    marker.scale = Vector3(x=size_m, y=size_m, z=size_m)
    marker.color = _color(color)
    return marker


def _points(points_m: Sequence[tuple[float, float, float]]) -> list[Point]:
    return [Point(x=x, y=y, z=z) for x, y, z in points_m]


def _color(color: Color) -> Any:
    red, green, blue, alpha = color
    return ColorRGBA(r=red, g=green, b=blue, a=alpha)

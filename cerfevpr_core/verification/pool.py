"""Matches with 3-D points of several keyframes that see one place, brought to the map together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.geometry import Camera
from cerfevpr_core.verification.cameras import pixel_unit
from cerfevpr_core.verification.inliers import Pool
from cerfevpr_core.verification.map_view import CandidateView, MapView
from cerfevpr_core.verification.matching import Matches
from cerfevpr_core.verification.refine import Array, Observations


def groups(candidates: Sequence[CandidateView]) -> list[list[int]]:
    """Keyframe ids of each place: candidates that share a keyframe or neighbour are one.

    In the order of the places' best candidates.
    """
    found: list[list[int]] = []
    for candidate in candidates:
        ids = [candidate.keyframe.keyframe_id, *(v.keyframe_id for v in candidate.neighbours)]
        touched = [group for group in found if not set(group).isdisjoint(ids)]
        found = [group for group in found if group not in touched]
        merged = list(dict.fromkeys([*(i for group in touched for i in group), *ids]))
        found.append(merged)
    order = {c.keyframe.keyframe_id: n for n, c in reversed(list(enumerate(candidates)))}
    return sorted(found, key=lambda group: min(order.get(i, len(order)) for i in group))


def usable(view: MapView) -> NDArray[np.bool_]:
    """(M,): which keypoints have a point that can be used, in front of the keyframe's camera."""
    points = view.keypoints.points_m
    return view.keypoints.has_point & (np.nan_to_num(points[:, 2]) > 0)


def pooled(
    ideal_px: Array,
    camera: Camera,
    views: Sequence[MapView],
    matches: Mapping[int, Matches],
    config: VerificationConfig,
) -> Pool:
    """Matches of a query's keypoints, at ideal pixels (N, 2) of its camera, with known points."""
    parts = [_of_view(ideal_px, view, matches[view.keyframe_id], config) for view in views]
    seen, points, spreads, rows, ids, similarities = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    noise = config.pixel_noise_px * pixel_unit(camera.width_px, camera.height_px)
    return Pool(Observations(seen, points, spreads, noise), rows, ids, similarities)


def _of_view(
    ideal_px: Array, view: MapView, matches: Matches, config: VerificationConfig
) -> tuple[NDArray, ...]:
    query, keyframe = matches.pairs.T
    posed = view.pose is not None
    kept = usable(view)[keyframe] & np.isfinite(ideal_px[query]).all(axis=1) & posed
    query, keyframe = query[kept], keyframe[kept]
    points, spreads = posed_points(view, keyframe, config)
    ids = np.full(len(query), view.keyframe_id, np.int64)
    return ideal_px[query], points, spreads, query, ids, matches.similarities[kept]


def posed_points(
    view: MapView, rows: NDArray[np.int64], config: VerificationConfig
) -> tuple[Array, Array]:
    """Some of a keyframe's points in the map (P, 3), and their covariances (P, 3, 3) there.

    A point errs along its ray as depth does, and across it as its keypoint does.
    """
    if view.pose is None:
        return np.zeros((0, 3)), np.zeros((0, 3, 3))
    matrix = view.pose.matrix()
    local = view.keypoints.points_m[rows].astype(np.float64)
    depth = local[:, 2]
    rays = local / depth[:, None]
    along = np.square(config.depth_noise_m + config.depth_noise_ratio * depth)
    spreads = along[:, None, None] * rays[:, :, None] * rays[:, None, :]
    if view.camera is not None:
        unit = pixel_unit(view.camera.width_px, view.camera.height_px)
        across = np.square(config.pixel_noise_px * unit * depth)
        spreads[:, 0, 0] += across / view.camera.fx**2
        spreads[:, 1, 1] += across / view.camera.fy**2
    rotation = matrix[:3, :3]
    return local @ rotation.T + matrix[:3, 3], rotation @ spreads @ rotation.T

"""Settings of the geometric verification."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra='forbid', strict=True, allow_inf_nan=False)
_Share = Annotated[float, Field(ge=0, le=1)]
_Above0 = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, config=_STRICT)
class VerificationConfig:
    """Keypoints matched in matched regions, two-view geometry, PnP; what a pose must satisfy."""

    # auto: in maps with depth; always: in any map, then without metres
    mode: Literal['auto', 'always', 'never'] = 'auto'
    num_candidates: Annotated[int, Field(ge=1, le=100)] = 5  # that are verified, best first
    num_neighbours: Annotated[int, Field(ge=0, le=100)] = 4  # keyframes whose points join in
    max_neighbour_turn_deg: Annotated[float, Field(gt=0, le=180)] = 45.0
    # A map keeps the keypoints of one detector, and queries need the same.
    detector: Literal['xfeat', 'orb', 'sift'] = 'xfeat'
    weights: str = ''  # a file of XFeat's; empty: the installed package
    num_keypoints: Annotated[int, Field(ge=8, le=16384)] = 1000  # the strongest of an image
    detect_px: Annotated[int, Field(ge=64, le=4096)] = 640  # longest side they are looked for at
    in_regions: bool = True  # matches of keypoints in matched regions stay within these
    region_scale: Annotated[float, Field(ge=1)] = 5.0  # enlarges a landmark's cell
    ratio: Annotated[float, Field(gt=0, le=1)] = 0.95  # nearest to second nearest; 1: no test
    min_similarity: Annotated[float, Field(ge=-1, le=1)] = 0.7  # cosine; bits count as signs
    max_error_px: _Above0 = 6.0  # of an inlier, in an image whose longest side is 640 pixels
    min_inliers: Annotated[int, Field(ge=6)] = 20
    min_inlier_ratio: _Share = 0.06  # of the matches
    min_coverage: _Share = 0.12  # of the query's 64 cells of an 8 x 8 grid
    # Of inliers of two views, rank correlation; -1: a camera may roll
    min_order: Annotated[float, Field(ge=-1, le=1)] = -1.0
    min_agreement: _Share = 0.27  # of the map in view that looks like the image there
    max_log_chance: Annotated[float, Field(le=0)] = -6.0  # log10 of as many inliers by chance
    max_std_m: _Above0 = 0.5  # of a pose's position, along its worst direction
    max_std_deg: _Above0 = 3.0
    pixel_noise_px: _Above0 = 1.0  # of a keypoint, in an image whose longest side is 640 pixels
    shared_error: _Share = 0.03  # of errors' variance that near matches have in common
    depth_noise_m: Annotated[float, Field(ge=0)] = 0.01  # of a 3-D point along its ray
    depth_noise_ratio: Annotated[float, Field(ge=0)] = 0.01  # and this share of its depth
    max_depth_step: _Above0 = 0.05  # bend of a surface within a pixel, as a share of its depth
    max_iterations: Annotated[int, Field(ge=100)] = 10000  # of a RANSAC
    seed: Annotated[int, Field(ge=0)] = 0

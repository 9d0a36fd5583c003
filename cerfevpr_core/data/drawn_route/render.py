"""A scene through a pinhole: what each pixel shows, how far away it is, and its colour.

Panels are drawn into a depth buffer that has a sample on each pixel and one between two pixels.
Depth is read at the pixels, exactly; colour is averaged over the samples around.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ...geometry import Camera, Pose
from .atlas import LEVELS
from .scene import Scene

Array = NDArray[np.float64]
NEAR_M, FAR_M = 0.25, 150.0
FINER = 2  # samples a pixel, along each side
SMALLEST = 4  # samples in a panel's bounding box; what is smaller is left out


class View(NamedTuple):
    """`colour` (H, W, 3) float32 without sky, `sky` (H, W) its share in each pixel, `depth_m`
    (H, W) with inf where there is sky, `ground` (H, W) whether a pixel shows the ground."""

    colour: NDArray[np.float32]
    sky: NDArray[np.float32]
    depth_m: NDArray[np.float32]
    ground: NDArray[np.bool_]


@dataclass(frozen=True)
class _Visible:
    """The k panels in front of the camera.

    `inverse` (k, 3, 3) takes sample coordinates (x, y, 1) to (u, v, 1) / depth with texels u, v;
    `outlines` are polygons in samples, `boxes` (k, 4) their left, top, right, bottom;
    `nearness` (k) is one over the depth of the nearest corner, nearest panel first.
    """

    number: NDArray[np.int64]
    inverse: NDArray[np.float32]
    outlines: list[Array]
    boxes: NDArray[np.int64]
    nearness: Array


def render(scene: Scene, camera: Camera, pose: Pose) -> View:
    """Look at the scene; the camera has no distortion."""
    visible = _visible(scene, camera, pose)
    rows, columns = FINER * camera.height_px, FINER * camera.width_px
    shown, nearness = _rasterise(scene, visible, (rows, columns))
    colour = _colours(scene, visible, shown, nearness)
    sky = np.where(shown == len(visible.number), np.uint8(255), np.uint8(0))
    at_pixels = (slice(None, None, FINER), slice(None, None, FINER))
    kinds = np.append(scene.ground[visible.number], False)
    with np.errstate(divide='ignore'):
        depth = np.float32(1) / nearness[at_pixels]
    return View(
        _averaged(colour), _averaged(sky) / np.float32(255), depth, kinds[shown[at_pixels]]
    )


def _averaged(samples: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels from the samples on and half-way around them."""
    weights = np.array([0.2, 0.6, 0.2])
    smooth = cv2.sepFilter2D(samples, -1, weights, weights, borderType=cv2.BORDER_REFLECT_101)
    return smooth[::FINER, ::FINER].astype(np.float32)


def _visible(scene: Scene, camera: Camera, pose: Pose) -> _Visible:
    to_map = pose.matrix()
    turn, position = to_map[:3, :3], to_map[:3, 3]
    corners = (scene.corners - position) @ turn  # (P, 4, 3) in the camera's frame
    keep = _in_sight(scene, camera, corners, position)
    project = np.diag([FINER, FINER, 1.0]) @ camera.matrix()  # camera frame to samples
    number = np.flatnonzero(keep)
    outlines = _outlines(corners[number], project)
    boxes = _boxes(outlines, FINER * camera.width_px, FINER * camera.height_px)
    size = boxes[:, 2:] - boxes[:, :2]
    large = np.flatnonzero((size.min(axis=1) > 0) & (size.prod(axis=1) > SMALLEST))
    nearest = corners[number[large], :, 2].min(axis=1)
    large = large[np.argsort(nearest, kind='stable')]
    number = number[large]
    planes = scene.planes[number].copy()
    planes[:, :, 2] -= position
    inverse = np.linalg.inv(project @ (turn.T @ planes))
    chosen = [outlines[i] for i in large]
    nearest = np.maximum(np.sort(nearest), NEAR_M)
    return _Visible(number, inverse.astype(np.float32), chosen, boxes[large], 1 / nearest)


def _outlines(corners: Array, project: Array) -> list[Array]:
    """Polygons (k, 4, 3) of the camera's frame in samples, cut where they pass the camera."""
    with np.errstate(divide='ignore', invalid='ignore'):
        samples = corners @ project.T
        outlines = list(samples[..., :2] / samples[..., 2:])
    for i in np.flatnonzero(corners[..., 2].min(axis=1) < NEAR_M):
        cut = _cut_near(corners[i]) @ project.T
        outlines[i] = cut[:, :2] / cut[:, 2:]
    return outlines


def _in_sight(scene: Scene, camera: Camera, corners: Array, position: Array) -> NDArray[np.bool_]:
    """Panels that face the camera, inside the four sides of its view."""
    facing = np.einsum('pk,pk->p', scene.normals, position - scene.corners[:, 0])
    facing = np.where(scene.two_sided, np.abs(facing), facing)
    x, y, z = corners[..., 0], corners[..., 1], corners[..., 2]
    left, right = -camera.cx / camera.fx, (camera.width_px - camera.cx) / camera.fx
    top, bottom = -camera.cy / camera.fy, (camera.height_px - camera.cy) / camera.fy
    depth = np.maximum(z, 0)
    outside = (x < left * depth).all(1) | (x > right * depth).all(1)
    outside |= (y < top * depth).all(1) | (y > bottom * depth).all(1)
    return (facing > 1e-3) & ~outside & (z.max(1) > NEAR_M) & (z.min(1) < FAR_M)


def _cut_near(polygon: Array) -> Array:
    """The part of a polygon (n, 3) beyond the near plane."""
    kept = []
    for one, other in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if one[2] >= NEAR_M:
            kept.append(one)
        if (one[2] >= NEAR_M) != (other[2] >= NEAR_M):
            kept.append(one + (other - one) * (NEAR_M - one[2]) / (other[2] - one[2]))
    return np.array(kept)


def _boxes(outlines: list[Array], width: int, height: int) -> NDArray[np.int64]:
    low = np.array([outline.min(axis=0) for outline in outlines]).reshape(-1, 2)
    high = np.array([outline.max(axis=0) for outline in outlines]).reshape(-1, 2)
    limit = np.array([width, height])
    first = np.clip(np.ceil(low - 0.5), 0, limit)
    last = np.clip(np.floor(high + 0.5) + 1, 0, limit)
    return np.concatenate([first, last], axis=1).astype(np.int64)


def _rasterise(
    scene: Scene, visible: _Visible, size: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Which visible panel each sample shows (their number for sky), and one over its depth."""
    shown = np.full(size, len(visible.number), np.int32)
    nearness = np.zeros(size, np.float32)
    xs, ys = np.arange(size[1], dtype=np.float32), np.arange(size[0], dtype=np.float32)[:, None]
    for k, (x0, y0, x1, y1) in enumerate(visible.boxes.tolist()):
        window = (slice(y0, y1), slice(x0, x1))
        if visible.nearness[k] < nearness[window].min():
            continue  # all of it is behind what is drawn already
        inside = np.zeros((y1 - y0, x1 - x0), np.uint8)
        outline = np.rint((visible.outlines[k] - (x0, y0)) * 16).astype(np.int32)
        cv2.fillConvexPoly(inside, outline, (1.0,), cv2.LINE_8, 4)
        a, b, c = visible.inverse[k, 2]
        near = xs[x0:x1] * a + (ys[y0:y1] * b + c)
        closer = near > nearness[window]
        closer &= inside.view(np.bool_)
        cover = scene.covers[visible.number[k]]
        if cover is not None:
            closer &= _opaque(cover, visible.inverse[k], (x0, y0, x1, y1))
        np.copyto(nearness[window], near, where=closer)
        np.copyto(shown[window], k, where=closer)
    return shown, nearness


def _opaque(
    cover: list[NDArray[np.uint8]], inverse: NDArray[np.float32], box: tuple[int, int, int, int]
) -> NDArray[np.bool_]:
    """Where a see-through panel is solid, at the level of detail that its middle needs."""
    x0, y0, x1, y1 = box
    to_texels = inverse.astype(np.float64) @ np.array([[1, 0, x0], [0, 1, y0], [0, 0, 1.0]])
    middle = to_texels @ ((x1 - x0) / 2, (y1 - y0) / 2, 1)
    texels_per_sample = abs(to_texels[1, 1] - middle[1] / middle[2] * to_texels[2, 1]) / middle[2]
    level = int(np.clip(np.round(np.log2(max(texels_per_sample, 1e-6))), 0, len(cover) - 1))
    scale = 0.5**level
    to_level = np.diag([scale, scale, 1.0]) @ to_texels
    to_level[:2] -= 0.5 * to_level[2]  # the centre of texel 0 is at half a texel
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    solid = cv2.warpPerspective(
        cover[level], to_level, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_CONSTANT
    )
    return np.asarray(solid > 110)


def _colours(
    scene: Scene, visible: _Visible, shown: NDArray[np.int32], nearness: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Look each sample (h, w) up in the atlas, black where there is sky."""
    inverse = np.concatenate([visible.inverse, np.zeros((1, 3, 3), np.float32)])
    place = np.concatenate([scene.places[visible.number], np.ones((1, 4), np.float32)])
    gain = np.concatenate([scene.gains[visible.number], np.zeros((1, 3), np.uint8)])
    xs = np.arange(shown.shape[1], dtype=np.float32)
    ys = np.arange(shown.shape[0], dtype=np.float32)[:, None]
    depth = 1 / np.maximum(nearness, np.float32(1e-6))
    pixels = (slice(None, None, FINER), slice(None, None, FINER))  # enough to choose levels at
    slope_x, slope_y = (np.take(inverse[:, 2, i], shown[pixels]) for i in range(2))
    maps = []
    for axis in range(2):
        a, b, c = (np.take(inverse[:, axis, i], shown) for i in range(3))
        texel = (a * xs + b * ys + c) * depth
        across = np.abs(a[pixels] - texel[pixels] * slope_x)
        down = np.abs(b[pixels] - texel[pixels] * slope_y)
        level = _level(np.maximum(across, down) * depth[pixels])
        maps.append(_address(texel, level, place[:, axis], place[:, 2 + axis], shown))
    colour = cv2.remap(scene.atlas.pixels, maps[0], maps[1], cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(colour, gain[shown], scale=1 / 64), np.uint8)


def _level(texels_per_sample: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The level at which samples are about a texel apart: pixels in, samples out."""
    octave = (texels_per_sample * np.float32(1.4142)).view(np.int32) >> 23  # a rounded log2
    level = np.clip(octave - 127, 0, LEVELS - 1).astype(np.uint8)
    return level.repeat(FINER, axis=0).repeat(FINER, axis=1)


def _address(
    texel: NDArray[np.float32],
    level: NDArray[np.uint8],
    start: NDArray[np.float32],
    size: NDArray[np.float32],
    shown: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Atlas coordinate of a texel along one axis, at its level."""
    scale = np.take((0.5 ** np.arange(LEVELS)).astype(np.float32), level)
    length = np.take(size, shown)
    inside = np.clip(texel * scale - 0.5, 0, length * scale - 1)
    return np.asarray(inside + np.take(start, shown) + 2 * length * (1 - scale), np.float32)

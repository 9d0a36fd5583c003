"""The sky and what stands too far away to move: clouds, hills and a skyline, all around."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ...geometry import Camera, Pose
from .canvas import clouds
from .conditions import Look

PX_PER_DEG = 4.0
LOW_DEG, HIGH_DEG = -12.0, 62.0
SEAM_PX = 200


def paint_sky(look: Look, seed: int) -> NDArray[np.uint8]:
    """A panorama (rows from high to low, columns clockwise from the map's x axis, RGB)."""
    height, width = int((HIGH_DEG - LOW_DEG) * PX_PER_DEG), int(360 * PX_PER_DEG)
    elevation = HIGH_DEG - (np.arange(height)[:, None, None] + 0.5) / PX_PER_DEG
    up = np.clip(elevation / 55, 0, 1) ** 0.6
    sky = (1 - up) * np.array(look.horizon) + up * np.array(look.zenith) + np.zeros((1, width, 1))
    sky = _add_clouds(sky, look, np.random.default_rng([seed, 5, look.number]))
    sky = np.clip(sky, 0, 255).astype(np.uint8)
    _add_skyline(sky, look, np.random.default_rng([seed, 6]))
    return sky


def _add_clouds(
    sky: NDArray[np.float64], look: Look, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Flatter towards the horizon, as clouds far away are; the panorama closes on itself."""
    height, width = sky.shape[:2]
    elevation = HIGH_DEG - (np.arange(height) + 0.5) / PX_PER_DEG
    stretch = 420 / (np.clip(elevation, 0, None) + 9)  # rows of a plane of clouds
    field = clouds((int(stretch.max()) * 8 + 8, width + SEAM_PX), 190, 6, rng)
    fade = np.linspace(0, 1, SEAM_PX, dtype=np.float32)
    field[:, :SEAM_PX] = fade * field[:, :SEAM_PX] + (1 - fade) * field[:, width:]
    x = np.broadcast_to(np.arange(width, dtype=np.float32), (height, width))
    y = np.broadcast_to((stretch * 8).astype(np.float32)[:, None], (height, width))
    cover = cv2.remap(field, np.ascontiguousarray(x), np.ascontiguousarray(y), cv2.INTER_LINEAR)
    amount = np.clip((cover + 2.2 * look.cloud_cover - 1.15) * 1.3, 0, 1)[..., None]
    light = 1 - 0.16 * np.clip(cover - 0.25, 0, 1)[..., None]
    return sky * (1 - 0.9 * amount) + 0.9 * amount * np.array(look.cloud) * light


def _add_skyline(sky: NDArray[np.uint8], look: Look, rng: np.random.Generator) -> None:
    """Hills, then houses and a few towers, paler the farther; the same under any condition."""
    width = sky.shape[1]
    foot = round(HIGH_DEG * PX_PER_DEG)
    haze = np.array(look.horizon)
    dark = 0.5 * np.array(look.ambient) * (150, 160, 165)
    hills = clouds((1, width), 260, 4, rng)[0] * 7 + 13
    for x in range(width):
        sky[foot - int(max(2, hills[x])) : foot + 1, x] = 0.72 * haze + 0.28 * dark
    x = 0
    while x < width:
        w, h = int(rng.integers(5, 26)), int(rng.integers(6, 24))
        if rng.random() < 0.06:
            w, h = int(rng.integers(5, 9)), int(rng.integers(38, 80))
        tone, lit = rng.uniform(0.35, 0.6), rng.random((h // 3 + 1, w // 2 + 1)) < 0.25
        sky[foot - h : foot + 1, x : x + w] = (1 - tone) * haze + tone * dark
        if look.lamps > 0.5:
            spots = np.argwhere(lit) * (3, 2) + (foot - h + 1, x)
            spots = spots[(spots[:, 0] < foot) & (spots[:, 1] < min(width, x + w))]
            sky[spots[:, 0], spots[:, 1]] = (150, 126, 84)
        x += w + int(rng.integers(0, 6))
    sky[foot:] = 0.6 * haze + 0.4 * dark


def look_up_sky(panorama: NDArray[np.uint8], camera: Camera, pose: Pose) -> NDArray[np.float32]:
    """The panorama as the camera sees it, (H, W, 3)."""
    x, y = np.meshgrid(np.arange(camera.width_px), np.arange(camera.height_px))
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones(x.shape)])
    ahead, left, up = np.tensordot(pose.matrix()[:3, :3], rays, 1).astype(np.float32)
    azimuth = cv2.phase(ahead, -left, angleInDegrees=True)
    elevation = np.degrees(np.arctan2(up, np.hypot(ahead, left)))
    rows = np.clip((HIGH_DEG - elevation) * PX_PER_DEG - 0.5, 0, panorama.shape[0] - 1)
    columns = azimuth * PX_PER_DEG - 0.5
    seen = cv2.remap(
        panorama, columns, rows.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    return seen.astype(np.float32)

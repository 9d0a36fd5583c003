"""What happens between the street and the file: haze, reflections, rain, lamps, the sensor."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ...geometry import Camera, Pose
from .conditions import Look
from .render import View

Image = NDArray[np.float32]


def develop(
    view: View,
    sky: Image,
    look: Look,
    lamps: NDArray[np.float64],
    camera: Camera,
    pose: Pose,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """The image a camera takes of a view, (H, W, 3) uint8."""
    image = view.colour + sky * view.sky[..., None]
    if look.wet:
        image = _reflect(image, view, look)
    image = _haze(image, view, look)
    if look.lamps:
        image += _halos(lamps, view, look, camera, pose)
    if look.streaks:
        image = _fall(image, look, rng)
    return _expose(image, look, rng)


def _haze(image: Image, view: View, look: Look) -> Image:
    """Distance fades into the colour of the horizon; the sky already has it."""
    clear = np.where(np.isinf(view.depth_m), 1, np.exp(-view.depth_m / look.haze_m))[..., None]
    return np.asarray(image * clear + np.array(look.horizon) * (1 - clear), np.float32)


def _reflect(image: Image, view: View, look: Look) -> Image:
    """Wet ground mirrors what stands above it, the more the flatter one looks at it."""
    height = image.shape[0]
    rows = np.arange(height, dtype=np.float32)[:, None]
    standing = np.where(view.ground, 0, rows)
    foot = np.maximum.accumulate(standing, axis=0)  # lowest row above that is not ground
    source = np.clip(2 * foot - rows, 0, height - 1).astype(np.float32)
    columns = np.broadcast_to(np.arange(image.shape[1], dtype=np.float32), source.shape)
    ripple = np.float32(1.2) * np.sin(rows * np.float32(0.9))
    mirrored = cv2.remap(image, columns + ripple, source, cv2.INTER_LINEAR)
    mirrored = cv2.GaussianBlur(mirrored, (0, 0), 1.2, sigmaY=5)
    flat = np.clip(np.where(np.isinf(view.depth_m), 0, view.depth_m) / 26, 0.12, 0.8)
    share = (look.wet * flat * view.ground)[..., None]
    return np.asarray(image * (1 - share) + mirrored * share, np.float32)


def _halos(
    lamps: NDArray[np.float64], view: View, look: Look, camera: Camera, pose: Pose
) -> Image:
    """Light scattered around the lamps in sight."""
    glow = np.zeros(view.colour.shape, np.float32)
    matrix = pose.matrix()
    seen = (lamps - matrix[:3, 3]) @ matrix[:3, :3]
    for x, y, z in seen[(seen[:, 2] > 1.5) & (seen[:, 2] < 90)]:
        column, row = camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy
        at = (
            int(np.clip(row, 0, camera.height_px - 1)),
            int(np.clip(column, 0, camera.width_px - 1)),
        )
        if abs(at[0] - row) > 1 or abs(at[1] - column) > 1 or view.depth_m[at] < z - 1:
            continue
        radius = 0.6 * camera.fx / z
        cv2.circle(glow, (at[1], at[0]), max(1, round(radius * 0.45)), (255.0, 214.0, 150.0), -1)
    scale = camera.width_px / 320
    wide = cv2.GaussianBlur(glow, (0, 0), 9 * scale) * 4.5 + cv2.GaussianBlur(
        glow, (0, 0), 2.2 * scale
    )
    return np.asarray(look.lamps * wide, np.float32)


def _fall(image: Image, look: Look, rng: np.random.Generator) -> Image:
    """Rain streaks, or flakes if there is snow."""
    height, width = image.shape[:2]
    veil = np.zeros((height, width), np.float32)
    num = round(look.streaks * width * height / (320 * 240))
    starts = rng.uniform((0, -10), (width, height), (num, 2)) * 16
    for x, y in starts.astype(int).tolist():
        if look.snow:
            cv2.circle(veil, (x, y), int(rng.integers(8, 22)), (0.75,), -1, cv2.LINE_AA, 4)
        else:
            length = int(rng.integers(6, 20)) * 16
            cv2.line(veil, (x, y), (x + length // 7, y + length), (0.24,), 1, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(veil, (0, 0), 0.6)[..., None]
    bright = np.array((235, 238, 242) if look.snow else (196, 202, 208), np.float32)
    return np.asarray(image * (1 - soft) + bright * soft, np.float32)


def _expose(image: Image, look: Look, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Exposure a little off each time, vignette, colour, and the sensor's noise."""
    height, width = image.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    gain = look.exposure * rng.uniform(0.95, 1.05) * (1 - 0.09 * (x * x + y * y))
    image = image * np.asarray(gain, np.float32)[..., None]
    grey = image.mean(axis=2, keepdims=True)
    image = grey + np.float32(look.saturation) * (image - grey)
    image += np.float32(look.noise) * rng.standard_normal(image.shape, np.float32)
    return np.asarray(np.clip(image, 0, 255), np.uint8)

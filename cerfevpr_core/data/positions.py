"""Poses (TUM form), cameras (ROS's calibration YAML) and positions (CSV, or UTM in the names)."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import yaml

from cerfevpr_core.errors import ConfigError
from cerfevpr_core.geometry import Camera, Pose

MAX_STAMP_GAP_S = 0.05


class PoseTable:
    """Poses by image name or stamp, `stamp_or_name x y z qx qy qz qw` a line.

    Raises ConfigError, with the line, for a file that is not in TUM form.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.by_name: dict[str, Pose] = {}
        for number, line in enumerate(_lines(file), start=1):
            if line.strip() and not line.lstrip().startswith('#'):
                name, pose = self._parse(line, number)
                self.by_name[name] = pose
        if not self.by_name:
            raise ConfigError(f'{file} holds no poses; expected `name x y z qx qy qz qw` lines')
        stamped = ((float(n), p) for n, p in self.by_name.items() if _is_number(n))
        self.by_stamp_s = sorted(stamped, key=lambda item: item[0])

    def find(self, name: str, stamp_ns: int = 0) -> Pose | None:
        """By file name, by its stem, then by the nearest stamp within 0.05 s; else None."""
        stem = Path(name).stem if Path(name).suffix in ('.jpg', '.jpeg', '.png') else name
        exact = self.by_name.get(name) or self.by_name.get(stem)
        if exact is not None or not self.by_stamp_s:
            return exact
        stamp_s = stamp_ns / 1e9 if stamp_ns else (float(stem) if _is_number(stem) else math.nan)
        nearest_s, pose = min(self.by_stamp_s, key=lambda item: abs(item[0] - stamp_s))
        return pose if abs(nearest_s - stamp_s) <= MAX_STAMP_GAP_S else None

    def _parse(self, line: str, number: int) -> tuple[str, Pose]:
        name, *rest = line.split()
        try:
            x, y, z, qx, qy, qz, qw = (float(v) for v in rest)
        except ValueError:
            raise ConfigError(
                f'{self.file}, line {number}: expected `name x y z qx qy qz qw`, '
                f'found {line.strip()[:80]!r}'
            ) from None
        norm = math.sqrt(qx * qx + qy * qy + qz * qz + qw * qw)
        if not math.isfinite(x + y + z) or not 0.9 < norm < 1.1:
            raise ConfigError(
                f'{self.file}, line {number}: expected finite numbers and a unit quaternion '
                f'(x, y, z, w), found length {norm:.3g}'
            )
        return name, Pose((x, y, z), (qx / norm, qy / norm, qz / norm, qw / norm))


def read_camera(file: Path) -> Camera:
    """A camera from ROS's calibration YAML. Raises ConfigError where a field is missing."""
    try:
        tree = yaml.safe_load('\n'.join(_lines(file)))
        k = [float(v) for v in tree['camera_matrix']['data']]
        distortion = tuple(float(v) for v in tree['distortion_coefficients']['data'])
        model = tree.get('distortion_model', 'plumb_bob')
        camera = Camera(
            int(tree['image_width']), int(tree['image_height']), k[0], k[4], k[2], k[5], distortion
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError, IndexError) as error:
        raise ConfigError(
            f'{file} is not a ROS camera calibration ({error!r}); expected image_width, '
            'image_height, camera_matrix and distortion_coefficients, as camera_calibration writes'
        ) from None
    if not (camera.fx > 0 and camera.fy > 0 and camera.width_px > 0 and camera.height_px > 0):
        raise ConfigError(
            f'{file}: expected focal lengths and an image size above 0, found fx {camera.fx:g}, '
            f'fy {camera.fy:g}, {camera.width_px} x {camera.height_px}; calibrate the camera'
        )
    if model not in ('plumb_bob', 'rational_polynomial'):
        raise ConfigError(f'{file}: distortion_model {model} is not supported; rectify the images')
    return camera


def read_positions(file: Path) -> dict[str, tuple[float, float]]:
    """Positions in metres by image name, from a CSV with the columns name, x_m, y_m."""
    rows = csv.DictReader(_lines(file))
    if not {'name', 'x_m', 'y_m'} <= set(rows.fieldnames or ()):
        raise ConfigError(
            f'{file}: expected the columns name,x_m,y_m, found {",".join(rows.fieldnames or ())}'
        )
    try:
        return {row['name']: (_finite(row['x_m']), _finite(row['y_m'])) for row in rows}
    except (TypeError, ValueError):
        raise ConfigError(f'{file}: line {rows.line_num} does not hold two numbers') from None


def position_in_name(name: str) -> tuple[float, float] | None:
    """UTM east and north in metres from `@east@north@...`, the usual layout of public sets."""
    parts = name.split('@')
    try:
        return (float(parts[1]), float(parts[2])) if len(parts) > 3 else None
    except ValueError:
        return None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding='utf-8-sig').splitlines()
    except OSError as error:
        raise ConfigError(f'cannot read {file}: {error.strerror}; check the path') from None
    except UnicodeDecodeError:
        raise ConfigError(f'{file} is not a text file') from None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f'{text} is not finite')
    return value

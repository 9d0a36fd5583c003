"""Writing a traverse of the drawn route to a folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from ...errors import ConfigError
from ...geometry import Camera, Pose
from .route import VIEWPOINTS, DrawnRoute

JPEG_QUALITY = 92


def write_traverse(
    route: DrawnRoute,
    out: Path,
    condition: str,
    viewpoint: str = 'centre',
    depth: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Draw every frame into the new folder `out`.

    `000000.jpg` and on, `poses.txt` (TUM, names first), `camera.yaml` (ROS), and with `depth`
    `depth/000000.png` (16-bit millimetres, 0 where there is sky or more than 65.5 m). The folder
    appears under its name only once it is complete. `progress` is called with (done, all).
    """
    if viewpoint not in VIEWPOINTS:
        raise ConfigError(f'unknown viewpoint {viewpoint}: choose one of {", ".join(VIEWPOINTS)}')
    if out.exists():
        raise ConfigError(f'{out} is there already: choose another folder, or remove it')
    partial = out.with_name(f'.{out.name}.cerfevpr-partial')
    shutil.rmtree(partial, ignore_errors=True)  # of one that was killed: nobody else names so
    (partial / 'depth' if depth else partial).mkdir(parents=True)
    lines = []
    for number in range(route.num_frames):
        frame = route.frame(number, condition, *VIEWPOINTS[viewpoint])
        name = f'{number:06d}'
        _write(partial / f'{name}.jpg', np.ascontiguousarray(frame.image[..., ::-1]))
        if depth:
            _write(partial / 'depth' / f'{name}.png', millimetres(frame.depth_m))
        lines.append(_tum_line(f'{name}.jpg', frame.pose))
        if progress:
            progress(number + 1, route.num_frames)
    (partial / 'poses.txt').write_text('# name x y z qx qy qz qw\n' + ''.join(lines))
    (partial / 'camera.yaml').write_text(_camera_yaml(route.camera))
    partial.rename(out)


def _write(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == '.jpg' else []
    done, data = cv2.imencode(path.suffix, image, quality)  # OpenCV 5 warns of what png has not
    assert done
    path.write_bytes(data.tobytes())


def millimetres(depth_m: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Depth as 16-bit images have it, 0 where there is sky or more than 65.5 m."""
    exact = np.rint(np.where(np.isinf(depth_m), 0, depth_m) * 1000.0)
    return np.where(exact > 65535, 0, exact).astype(np.uint16)


def _tum_line(name: str, pose: Pose) -> str:
    numbers = ' '.join(f'{value:.9f}' for value in (*pose.position_m, *pose.quaternion))
    return f'{name} {numbers}\n'


def _camera_yaml(camera: Camera) -> str:
    """As ROS's camera_calibration and camera_info_manager write it."""

    def matrix(values: NDArray[np.float64]) -> dict[str, object]:
        rows, cols = values.shape
        return {'rows': rows, 'cols': cols, 'data': [float(v) for v in values.ravel()]}

    k = camera.matrix()
    tree = {
        'image_width': camera.width_px,
        'image_height': camera.height_px,
        'camera_name': 'drawn_route',
        'camera_matrix': matrix(k),
        'distortion_model': 'plumb_bob',
        'distortion_coefficients': matrix(np.array([camera.distortion])),
        'rectification_matrix': matrix(np.eye(3)),
        'projection_matrix': matrix(np.hstack([k, np.zeros((3, 1))])),
    }
    return yaml.safe_dump(tree, sort_keys=False, default_flow_style=None)

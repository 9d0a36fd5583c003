"""The distribution's cv_bridge, for the images that it converts rightly."""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import subprocess
import sys
from typing import Any, Protocol

import numpy as np
from sensor_msgs.msg import Image

from cerfevpr_core.pixel_formats import RGB, decode_raw

# The rest is ours: cv_bridge's Python side skews rows whose padding is no whole number of pixels,
# fails on big-endian messages with NumPy 2, has no colours for 8UC1 and 8UC3, knows neither nv21
# nor uyvy, and takes half a JPEG for a whole one.
_ENCODINGS = {'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4, 'mono8': 1}  # channels
_CHECK_TIMEOUT_S = 60
_log = logging.getLogger(__name__)


class Bridge(Protocol):
    """What we use of `cv_bridge.CvBridge`."""

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = 'passthrough') -> RGB:
        """Convert to the desired encoding."""


@functools.cache
def cv_bridge() -> Bridge | None:
    """cv_bridge where it is installed and passes a check, made once; None: our own converters.

    The check runs in a process of its own, for a cv_bridge that was built for another NumPy ends
    the process that uses it.
    """
    if importlib.util.find_spec('cv_bridge') is None:
        _log.info('cv_bridge is not installed; images are converted by CerfeVPR itself')
        return None
    if problem := _problem_in_a_child():
        _log.warning('cv_bridge is not used: %s; CerfeVPR converts images itself', problem)
        return None
    from cv_bridge import CvBridge

    _log.info('images are converted by cv_bridge')
    bridge: Bridge = CvBridge()
    return bridge


def suits(msg: Image) -> bool:
    """True for plain 8-bit pixels without padding: what every cv_bridge gets right."""
    channels = _ENCODINGS.get(msg.encoding, 0)
    row_bytes = msg.width * channels
    whole = msg.step == row_bytes and len(msg.data) == msg.height * row_bytes
    return len(msg.data) > 0 and whole and not msg.is_bigendian


def problem_of(bridge: Bridge) -> str:
    """What the bridge does wrong with tiny known images; empty if nothing."""
    for encoding, channels in _ENCODINGS.items():
        pixels = bytes(range(7, 7 + 2 * 3 * channels))
        msg = Image(height=2, width=3, encoding=encoding, step=3 * channels, data=pixels)
        expected = decode_raw(pixels, 2, 3, encoding, 3 * channels)
        found: Any = bridge.imgmsg_to_cv2(msg, 'rgb8')
        if not np.array_equal(found, expected):
            return f'its {encoding} has the wrong colours'
    return ''


def _problem_in_a_child() -> str:
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, '-m', __name__]
    try:
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=_CHECK_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return f'it took more than {_CHECK_TIMEOUT_S} s to convert an image of 3 x 2 pixels'
    if done.returncode < 0:
        return f'it ends the process with signal {-done.returncode} (built for another NumPy?)'
    last_line = (done.stderr.strip().splitlines() or ['no message'])[-1]
    return last_line if done.returncode else ''


def _check() -> None:
    from cv_bridge import CvBridge

    sys.exit(problem_of(CvBridge()) or 0)  # a text is printed to stderr, with exit code 1


if __name__ == '__main__':
    _check()

"""What candidates and matching need to know of an image."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.config import Config
from cerfevpr_core.data.relocalization import PosedFrame
from cerfevpr_core.describer import Describer
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.landmarks import Landmarks
from cerfevpr_core.verification.depth import with_depth
from cerfevpr_core.verification.detectors import Detector, load_detector
from cerfevpr_core.verification.keypoints import Keypoints, Kind

from .orb import EvenOrbDetector

log = logging.getLogger(__name__)

WORDS: Kind = 'orb'  # what words are made of, as in ORB-SLAM


@dataclass(frozen=True)
class Seen:
    """One image described: `descriptors` (P, E), its own last, and several only in a map.

    `nodes` (N, depth) are those of its binary keypoints in the vocabulary tree.

    `ms` is how long each part took, by name; a keypoint kind is one of them.
    """

    name: str
    size: tuple[int, int]  # height, width
    camera: Camera
    pose: Pose
    keypoints: dict[Kind, Keypoints]
    descriptors: NDArray[np.float32]
    landmarks: Landmarks
    nodes: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 1), np.int64))
    ms: dict[str, float] = field(default_factory=dict)

    @property
    def bits(self) -> NDArray[np.uint8]:
        """The descriptors (N, bytes) of its binary keypoints."""
        return self.keypoints[WORDS].descriptors.astype(np.uint8, copy=False)

    def with_nodes(self, nodes: NDArray[np.int64], ms: float = 0.0) -> Seen:
        """The same with its place in a vocabulary tree."""
        return replace(self, nodes=nodes, ms=self.ms | {'words': ms})


class Looker:
    """An image in, what is known of it out."""

    def __init__(self, config: Config, kinds: Iterable[Kind]) -> None:
        self.describer = _describer(config)
        self.detectors: dict[Kind, Detector] = {kind: _detector(config, kind) for kind in kinds}

    def look(self, frame: PosedFrame, camera: Camera, is_keyframe: bool = False) -> Seen:
        """Describe a frame; its keypoints have points where there is depth."""
        clock = time.perf_counter
        ms: dict[str, float] = {}
        found: dict[Kind, Keypoints] = {}
        for kind, detector in self.detectors.items():
            start = clock()
            found[kind] = detector.detect(frame.image)
            ms[kind] = 1000 * (clock() - start)
        start = clock()
        see = self.describer.see_keyframe if is_keyframe else self.describer.see
        seen = see(frame.image)
        landmarks = self.describer.selector.select(seen.patches)
        assert landmarks is not None
        ms['landmarks'] = 1000 * (clock() - start)
        if frame.depth_m is not None:
            found = {k: with_depth(v, frame.depth_m, camera) for k, v in found.items()}
        height, width = frame.image.shape[:2]
        size = height, width
        return Seen(
            frame.name, size, camera, frame.pose, found, seen.descriptors, landmarks, ms=ms
        )


def _detector(config: Config, kind: Kind) -> Detector:
    if kind == WORDS:
        return EvenOrbDetector(config.verification)
    return load_detector(replace(config.verification, detector=kind))


def _describer(config: Config) -> Describer:
    """One with landmarks: the strongest features, where no network knows the backbone."""
    describer = Describer(config)
    if describer.selector.selection != 'none':
        return describer
    log.warning('no network selects landmarks; those of the strongest features are used')
    return Describer(replace(config, landmarks=replace(config.landmarks, selection='act')))

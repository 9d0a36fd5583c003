"""One image -> the keyframe that a map keeps of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cerfevpr_core.config import Config
from cerfevpr_core.describer import Describer
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.images import Image
from cerfevpr_core.pixel_formats import Depth
from cerfevpr_core.place_map import Keyframe
from cerfevpr_core.verification import Detector, Keypoints, with_depth
from cerfevpr_core.view import View, keyframe


@dataclass(frozen=True)
class Shot:
    """An image RGB (H, W, 3) and what is known of its moment; depth (H', W') in metres."""

    image: Image
    stamp_ns: int = 0
    pose: Pose | None = None
    camera: Camera | None = None
    depth_m: Depth | None = None


class KeyframeMaker:
    """Describes map images; with a detector they get keypoints, with depth 3-D points."""

    def __init__(self, config: Config, describer: Describer, detector: Detector | None) -> None:
        self.config, self.describer, self.detector = config, describer, detector

    def make(
        self, shot: Shot, name: str, traverse: str = '', external_id: str = ''
    ) -> tuple[View, Keyframe]:
        """What later stages work on, and what the map keeps. Raises ImageError."""
        seen = self.describer.see_keyframe(shot.image)
        landmarks = self.describer.selector.select(seen.patches)
        view = View(shot.image, seen.descriptor, landmarks, self._keypoints(shot))
        made = keyframe(
            view,
            name,
            self.config.map.thumbnail_px,
            traverse=traverse,
            stamp_ns=shot.stamp_ns,
            pose=shot.pose,
            camera=shot.camera,
            external_id=external_id,
        )
        return view, replace(made, descriptors=seen.descriptors)

    def _keypoints(self, shot: Shot) -> Keypoints | None:
        """Of the image itself, never of a variant; with points where there is depth."""
        if self.detector is None:
            return None
        found = self.detector.detect(shot.image)
        if shot.depth_m is None:
            return found
        assert shot.camera is not None  # a depth without a camera gives no point
        step = self.config.verification.max_depth_step
        return with_depth(found, shot.depth_m, shot.camera, step)

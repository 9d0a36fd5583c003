"""What is known of an image once it is described, and as a map keeps it."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image as PilImage

from cerfevpr_core.describer import Descriptor
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.images import Image, shrink
from cerfevpr_core.landmarks.landmarks import Landmarks, pack
from cerfevpr_core.place_map import Keyframe
from cerfevpr_core.verification.keypoints import Keypoints
from cerfevpr_core.verification.keypoints import pack as pack_keypoints


@dataclass(frozen=True)
class View:
    """What is known of an image once it is described."""

    image: Image
    descriptor: Descriptor
    landmarks: Landmarks | None = None
    keypoints: Keypoints | None = None


def keyframe(
    view: View,
    name: str,
    thumbnail_px: int,
    *,
    traverse: str = '',
    stamp_ns: int = 0,
    pose: Pose | None = None,
    camera: Camera | None = None,
    external_id: str = '',
) -> Keyframe:
    """A view as the map keeps it."""
    jpeg = io.BytesIO()
    if thumbnail_px:
        PilImage.fromarray(shrink(view.image, thumbnail_px)).save(jpeg, 'JPEG', quality=85)
    return Keyframe(
        name,
        view.descriptor[None],
        external_id,
        traverse,
        stamp_ns,
        pose,
        camera,
        jpeg.getvalue(),
        view.image.shape[:2],
        _packed(view),
        view.keypoints is not None and bool(view.keypoints.has_point.any()),
    )


def _packed(view: View) -> dict[str, bytes]:
    packed = {}
    if view.landmarks is not None:
        packed['landmarks'] = pack(view.landmarks)
    if view.keypoints is not None:
        packed['keypoints'] = pack_keypoints(view.keypoints)
    return packed

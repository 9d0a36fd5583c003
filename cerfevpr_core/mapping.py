"""Images -> a map, and more images into a map."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from cerfevpr_core.config import Config
from cerfevpr_core.data.beside import BagDepth, BagPoses
from cerfevpr_core.data.depth_images import DepthImages
from cerfevpr_core.data.frames import Frame, FrameSource
from cerfevpr_core.data.positions import PoseTable
from cerfevpr_core.describer import Describer, evenly
from cerfevpr_core.errors import MapError
from cerfevpr_core.geometry import Camera
from cerfevpr_core.images import Image
from cerfevpr_core.keyframe_maker import KeyframeMaker, Shot
from cerfevpr_core.map_changes.whole import appearing_whole, require_free
from cerfevpr_core.map_model import new_manifest
from cerfevpr_core.place_map import Keyframe, PlaceMap
from cerfevpr_core.verification import Detector, load_detector

log = logging.getLogger(__name__)

Item = TypeVar('Item')

# Wraps an iterable to show how far it is: (items, what is done, how many) -> the same items.
Track = Callable[[Iterable[Frame], str, int], Iterable[Frame]]

_BATCH = 32  # keyframes a transaction: a kill costs at most so many


def no_progress(items: Iterable[Item], what: str, count: int) -> Iterable[Item]:
    """For callers that show nothing."""
    return items


@dataclass(frozen=True)
class Extras:
    """What may be known of the images of a traverse besides their pixels."""

    traverse: str = ''
    poses: PoseTable | BagPoses | None = None
    camera: Camera | None = None
    depth: DepthImages | BagDepth | None = None


def build_map(
    frames: FrameSource,
    out: Path,
    config: Config,
    extras: Extras = Extras(),
    track: Track = no_progress,
) -> int:
    """Describe every image and save the map; returns the number of keyframes.

    The map appears at `out` when it is whole; an interrupted build leaves nothing there.
    """
    require_free(out)
    describer = Describer(config)
    fit(describer, frames, track)
    with appearing_whole(out) as partial:
        detector = _detector(config, extras.depth is not None)
        manifest = new_manifest(describer, verifies=detector is not None)
        with PlaceMap.create(partial, manifest, config.map.index) as place_map:
            maker = KeyframeMaker(config, describer, detector)
            count = _add(place_map, maker, frames, extras, track)
        if not count:
            raise MapError('none of the images could be read; no map was made')
    return count


def add_to_map(
    place_map: PlaceMap,
    describer: Describer,
    frames: FrameSource,
    config: Config,
    extras: Extras = Extras(),
    track: Track = no_progress,
) -> int:
    """Describe more images into a map; returns how many were added.

    They get keypoints if those of the map have some.
    """
    detector = _detector(config, False)
    if detector is None and extras.depth is not None:
        raise MapError(
            'the map keeps no keypoints, so depth would be lost; build it again with --depth, or '
            'leave --depth out'
        )
    maker = KeyframeMaker(config, describer, detector)
    return _add(place_map, maker, frames, extras, track)


def fit(describer: Describer, frames: FrameSource, track: Track = no_progress) -> None:
    """Fit what the method fits on the map's images, on an even sample of them."""
    if describer.needs_fit:
        chosen = set(evenly(len(frames), describer.fit_images))
        tracked = track(frames, 'fitting to the map', len(frames))
        describer.fit(_images(f for i, f in enumerate(tracked) if i in chosen))


def _detector(config: Config, has_depth: bool) -> Detector | None:
    """For the keypoints of keyframes, where candidates are to be verified."""
    mode = config.verification.mode
    wanted = mode == 'always' or (mode == 'auto' and has_depth)
    return load_detector(config.verification) if wanted else None


def _add(
    place_map: PlaceMap,
    maker: KeyframeMaker,
    frames: FrameSource,
    extras: Extras,
    track: Track,
) -> int:
    described = (
        _keyframe(maker, frame, extras) for frame in track(frames, 'describing', len(frames))
    )
    count = num_posed = 0
    while batch := list(islice(described, _BATCH)):
        count += len(place_map.add(batch))
        num_posed += sum(keyframe.pose is not None for keyframe in batch)
    if extras.poses and num_posed < count:
        log.warning(
            '%d of %d images have no pose: neither their names nor their stamps are in %s',
            count - num_posed,
            count,
            extras.poses.file,
        )
    return count


def _keyframe(maker: KeyframeMaker, frame: Frame, extras: Extras) -> Keyframe:
    shot = Shot(
        frame.image,
        frame.stamp_ns,
        extras.poses.find(frame.name, frame.stamp_ns) if extras.poses else None,
        extras.camera,
        extras.depth.find(frame.name, frame.stamp_ns) if extras.depth else None,
    )
    return maker.make(shot, frame.name, extras.traverse)[1]


def _images(frames: Iterable[Frame]) -> Iterator[Image]:
    for frame in frames:
        yield frame.image

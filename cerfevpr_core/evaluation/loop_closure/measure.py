"""One drive, image after image, into a map that grows, as the mapper makes it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cerfevpr_core.config import Config
from cerfevpr_core.data.frames import FrameSource
from cerfevpr_core.describer import Describer
from cerfevpr_core.geometry import Camera
from cerfevpr_core.loop_closure import LoopCloser
from cerfevpr_core.map_model import new_manifest
from cerfevpr_core.mapping import Track
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.verification import load_detector
from cerfevpr_core.view import View, keyframe

from .result import Asked


@dataclass(frozen=True)
class Drive:
    """Each image with its answer, and the numbers of the images that keyframes were made of."""

    asked: Sequence[Asked]
    of_keyframe: dict[int, int]


def drive(
    frames: FrameSource,
    camera: Camera | None,
    describer: Describer,
    folder: Path,
    config: Config,
    track: Track,
) -> Drive:
    """Every image becomes a keyframe, and is asked about before the next one is looked at.

    The describer is fitted already, on other images: a robot does not know what it will see.
    """
    detector = load_detector(config.verification)
    asked: list[Asked] = []
    of_keyframe: dict[int, int] = {}
    with PlaceMap.create(folder, new_manifest(describer, verifies=True)) as place_map:
        closer = LoopCloser(config, place_map)
        for frame in track(frames, 'driving', len(frames)):
            start = time.perf_counter()
            seen = describer.see_keyframe(frame.image)
            landmarks = describer.selector.select(seen.patches)
            view = View(frame.image, seen.descriptor, landmarks, detector.detect(frame.image))
            (keyframe_id,) = place_map.add(
                [keyframe(view, frame.name, 0, stamp_ns=frame.stamp_ns, camera=camera)]
            )
            of_keyframe[keyframe_id] = len(asked)
            answer = closer.update(keyframe_id, view)
            asked.append(Asked(frame.name, answer, 1000 * (time.perf_counter() - start)))
    return Drive(asked, of_keyframe)

"""Questions to a map from its own images, with places that it holds and places that it does not.

A keyframe's image, changed as another hour, season and view would change it, is asked while the
keyframe itself is left out, so that its neighbours must be found: a place of the map. Asked once
more while all that sees the place is left out, it is a place that the map does not hold.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PilImage

from cerfevpr_core.calibration.features import features_of
from cerfevpr_core.calibration.same_place import SamePlace
from cerfevpr_core.changed_images.augment import augment
from cerfevpr_core.describer import evenly
from cerfevpr_core.images import Image
from cerfevpr_core.pixel_formats import decode_compressed
from cerfevpr_core.place_map import Candidate
from cerfevpr_core.recognizer import PlaceRecognizer
from cerfevpr_core.reranking import rerank_first
from cerfevpr_core.sequence import SequenceFilter

log = logging.getLogger(__name__)

_STRENGTH = 0.8  # of the changes

# Wraps an iterable to show how far it is: (items, what is done, how many) -> the same items.
Track = Callable[[Iterable[Any], str, int], Iterable[Any]]


@dataclass(frozen=True)
class Example:
    """A question's features, whether its first candidate is right, and whether one could be."""

    features: dict[str, float]
    right: bool
    in_map: bool


def examples_of(
    recognizer: PlaceRecognizer, same: SamePlace, number: int, seed: int, track: Track
) -> list[Example]:
    """Two questions for each of so many keyframes, evenly spread; fewer where a map is small."""
    keyframes = recognizer.place_map.store.everything()
    chosen = [keyframes[i] for i in evenly(len(keyframes), number)]
    around = MapKeyframes(keyframes, recognizer.place_map.store.vectors(), same)
    found: list[Example] = []
    for keyframe in track(chosen, 'calibrating', len(chosen)):
        asked = ask_changed(recognizer, keyframe, seed + keyframe.keyframe_id)
        if asked is not None:
            found.extend(_ask(asked, keyframe, around))
    return found


def ask_changed(recognizer: PlaceRecognizer, keyframe: Candidate, seed: int) -> Asked | None:
    """A keyframe's image, changed; None where the map keeps no thumbnail of it."""
    picture = recognizer.place_map.store.thumbnail(keyframe.keyframe_id)
    if not picture:
        return None
    image = changed(decode_compressed(picture, 'jpeg'), seed)
    return Asked(recognizer, keyframe, _as_large(image, keyframe))


def changed(image: Image, seed: int) -> Image:
    """RGB (H, W, 3) -> the same seen at another time, from a little aside."""
    tensor = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
    seen = augment(tensor, _STRENGTH, seed)[0].permute(1, 2, 0).numpy()
    return np.ascontiguousarray((seen * 255).round().astype(np.uint8))


def _as_large(image: Image, keyframe: Candidate) -> Image:
    """A thumbnail in the size of its image, for which the camera and the bars in pixels hold."""
    height, width = keyframe.size_px
    if not height or image.shape[:2] == (height, width):
        return image
    return np.asarray(PilImage.fromarray(image).resize((width, height)))


class Asked:
    """A keyframe's changed image, described once and asked twice."""

    def __init__(self, recognizer: PlaceRecognizer, keyframe: Candidate, image: Image) -> None:
        self.recognizer, self.view = recognizer, recognizer.describe(image)
        self.ids, self.similarities = recognizer.place_map.similarities(self.view.descriptor)
        relocalizer = recognizer.relocalizer
        self.keypoints = relocalizer.detector.detect(image) if relocalizer else None
        self.camera = recognizer.place_map.store.cameras([keyframe.keyframe_id])[0]

    def answer(self, without: set[int], sequence: SequenceFilter | None = None) -> list[Candidate]:
        """As `recognize` answers, from a map without some keyframes."""
        config, place_map = self.recognizer.config, self.recognizer.place_map
        allowed = ~np.isin(self.ids, list(without)) & np.isfinite(self.similarities)
        ids, similarities = self.ids[allowed], self.similarities[allowed]
        top_k = max(config.map.top_k, config.landmarks.num_candidates)
        best = np.argsort(-similarities, kind='stable')[:top_k]
        pairs = zip(ids[best].tolist(), similarities[best].tolist(), strict=True)
        found = place_map.store.candidates(pairs)
        candidates = rerank_first(self.view, found, place_map, config.landmarks)
        if sequence is not None:
            candidates, _ = self.recognizer.follow(self.view, candidates, sequence)
        relocalizer = self.recognizer.relocalizer
        if relocalizer is None or self.keypoints is None or not candidates:
            return candidates
        around = {
            c.keyframe_id: [n for n in relocalizer.neighbours(c) if n not in without]
            for c in candidates[: config.verification.num_candidates]
        }
        size_px = self.view.image.shape[:2]
        return relocalizer.verify(
            self.keypoints, size_px, self.camera, candidates, around
        ).candidates


def _ask(asked: Asked, keyframe: Candidate, map_: MapKeyframes) -> Iterator[Example]:
    for in_map, without in ((True, map_.beside(keyframe)), (False, map_.around(keyframe))):
        candidates = asked.answer(without)
        if candidates:
            yield example(keyframe, candidates, map_.same, in_map)


def example(
    keyframe: Candidate, candidates: list[Candidate], same: SamePlace, in_map: bool
) -> Example:
    """Of an answer to a keyframe's image."""
    right = in_map and same.joins(keyframe, candidates[0])
    return Example(features_of(candidates[0], candidates, same), right, in_map)


@dataclass(frozen=True)
class MapKeyframes:
    """The keyframes of a map, and which of them to leave out."""

    keyframes: Sequence[Candidate]
    descriptors: tuple[NDArray[np.int64], NDArray[np.float32]]  # whose, and vectors (P, E)
    same: SamePlace

    def beside(self, keyframe: Candidate) -> set[int]:
        """Itself where its place has others; alone it is asked for: only the change is new."""
        others = [k for k in self.keyframes if k is not keyframe and self.same.joins(keyframe, k)]
        if self.same.reach_m and keyframe.pose is not None:
            overlaps = bool(others)
        else:  # nobody knows whether those beside it overlap, unless one of them looks like it
            overlaps = self._most_alike(keyframe) in {k.keyframe_id for k in others}
        return {keyframe.keyframe_id} if overlaps else set()

    def around(self, keyframe: Candidate) -> set[int]:
        """All that may see the place of a keyframe."""
        outside = {k.keyframe_id for k in self.same.outside(keyframe, self.keyframes)}
        return {k.keyframe_id for k in self.keyframes} - outside

    def _most_alike(self, keyframe: Candidate) -> int | None:
        """The other keyframe with the most similar descriptor."""
        ids, vectors = self.descriptors
        similarities = vectors @ vectors[ids == keyframe.keyframe_id][-1]  # its own, the last
        similarities[ids == keyframe.keyframe_id] = -np.inf
        best = int(np.argmax(similarities))
        return int(ids[best]) if np.isfinite(similarities[best]) else None

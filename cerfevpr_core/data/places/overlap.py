"""Whether images of a place really show the same: neighbours may stand behind a wall."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.data.places.place import Place, PlaceSet, with_two_images
from cerfevpr_core.errors import ConfigError, ImageError
from cerfevpr_core.images import read_image

log = logging.getLogger(__name__)

_LONG_SIDE_PX, _NUM_KEYPOINTS = 384, 1500  # smaller images are enlarged
_RATIO, _TOLERANCE_PX = 0.8, 8.0
_NUM_EARLIER = 40  # images of its place that an image is compared with
_SAVE_EVERY = 50  # places

Features = tuple[NDArray[np.float32], NDArray[np.float32]]  # points (N, 2), unit descriptors
Track = Callable[[Iterable[Any], str, int], Iterable[Any]]  # shows how far it is

NO_OVERLAP = 'images without a proven overlap'


def _quiet(places: Iterable[Any], what: str, count: int) -> Iterable[Any]:
    return places


def keep_overlapping(
    places: PlaceSet, min_inliers: int, cache: Path, track: Track = _quiet
) -> PlaceSet:
    """Split each place with a position into groups of images that overlap their first one.

    Overlap is so many local feature matches that agree on an affine motion. Strict: it leaves
    out what it cannot prove, as a view by night. `cache` keeps what was compared. Raises
    ConfigError where fewer than two places remain or the cache cannot be used.
    """
    known = _Known(cache)
    kept: list[Place] = []
    for number, place in enumerate(track(places.places, 'comparing', len(places.places))):
        if place.position_m is None:
            kept.append(place)
        else:
            kept += with_two_images(_split(place, min_inliers, known))[0]
        if number % _SAVE_EVERY == 0:
            known.save()
    known.save()
    if len(kept) < 2:
        raise ConfigError(
            f'{len(kept)} places are left of {len(places.places)} whose images overlap; expected '
            'two or more: lower train.min_inliers, or leave the check out'
        )
    num_lost = places.num_images - sum(len(place.files) for place in kept)
    log.warning('left out: %d %s', num_lost, NO_OVERLAP)
    return replace(places, places=tuple(kept), left_out=places.left_out | {NO_OVERLAP: num_lost})


def count_inliers(file0: Path, file1: Path) -> int:
    """Mutual SIFT matches that pass the ratio test and one affine motion; 0 if unreadable."""
    try:
        (points0, descriptors0), (points1, descriptors1) = _features(file0), _features(file1)
    except ImageError:
        return 0  # named when the training reads it
    if min(len(points0), len(points1)) < 4:
        return 0
    similarity = descriptors0 @ descriptors1.T
    nearest, back = similarity.argmax(axis=1), similarity.argmax(axis=0)
    first, second = np.sort(similarity, axis=1)[:, [-1, -2]].T
    closer = np.sqrt(2 - 2 * first.clip(-1, 1)) < _RATIO * np.sqrt(2 - 2 * second.clip(-1, 1))
    rows = np.nonzero(closer & (back[nearest] == np.arange(len(nearest))))[0]
    if len(rows) < 4:
        return 0
    _, inliers = cv2.estimateAffine2D(
        points0[rows], points1[nearest[rows]], ransacReprojThreshold=_TOLERANCE_PX
    )
    return 0 if inliers is None else int(inliers.sum())


@lru_cache(maxsize=128)
def _features(file: Path) -> Features:
    image = read_image(file)
    scale = _LONG_SIDE_PX / max(image.shape[:2])
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None, fx=scale, fy=scale)
    keypoints, descriptors = cv2.SIFT.create(_NUM_KEYPOINTS).detectAndCompute(grey, None)
    if descriptors is None or len(keypoints) < 2:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32)
    roots = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6))
    return np.array([k.pt for k in keypoints], np.float32), roots.astype(np.float32)


def _split(place: Place, min_inliers: int, known: _Known) -> list[Place]:
    """Groups around the images that overlap most others; every image is in one group."""
    files = place.files
    overlap = np.eye(len(files), dtype=bool)
    for i in range(len(files)):
        for j in range(max(0, i - _NUM_EARLIER), i):
            overlap[i, j] = overlap[j, i] = known.inliers(files[i], files[j]) >= min_inliers
    groups: list[Place] = []
    free = np.ones(len(files), bool)
    while free.any():
        first = int(np.argmax((overlap & free).sum(axis=1) * free))
        members = overlap[first] & free
        free &= ~members
        chosen = tuple(files[int(i)] for i in np.nonzero(members)[0])
        groups.append(replace(place, name=f'{place.name}-{len(groups)}', files=chosen))
    return groups


class _Known:
    """Inliers of pairs of files, in a small JSON file beside the training."""

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self.pairs: dict[str, int] = json.loads(file.read_text()) if file.is_file() else {}
            if not all(isinstance(n, int) for n in self.pairs.values()):
                raise ValueError('not numbers')
        except (OSError, ValueError, AttributeError):
            raise ConfigError(f'{file} does not hold counted overlaps; choose another') from None

    def inliers(self, file0: Path, file1: Path) -> int:
        key = ' '.join(f'{f.parent.name}/{f.name}:{f.stat().st_size}' for f in (file0, file1))
        if key not in self.pairs:
            self.pairs[key] = count_inliers(file0, file1)
        return self.pairs[key]

    def save(self) -> None:
        partial = self.file.with_name(f'{self.file.name}.{os.getpid()}.part')
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(self.pairs, indent=0), encoding='utf-8')
            partial.replace(self.file)
        except OSError as error:
            raise ConfigError(f'cannot write {self.file}: {error.strerror}') from None

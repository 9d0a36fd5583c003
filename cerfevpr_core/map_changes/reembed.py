"""A map -> the same places described by another model, or by one that is fitted on them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from cerfevpr_core.config import Config, load_config, settings
from cerfevpr_core.data.frames import Frame
from cerfevpr_core.describer import Describer
from cerfevpr_core.errors import ImageError, MapError
from cerfevpr_core.images import Image, list_images, read_image
from cerfevpr_core.landmarks.landmarks import pack
from cerfevpr_core.map_changes.whole import appearing_whole, require_free
from cerfevpr_core.map_model import new_manifest
from cerfevpr_core.mapping import Track, fit, no_progress
from cerfevpr_core.pixel_formats import decode_compressed
from cerfevpr_core.place_map import Keyframe, Manifest, PlaceMap
from cerfevpr_core.place_map.rows import last_id, reserve_ids
from cerfevpr_core.place_map.store import KeyframeStore

log = logging.getLogger(__name__)

_BATCH = 32  # keyframes a transaction
_KEYPOINTS = ('verification.detector', 'verification.weights', 'verification.num_keypoints')

# What settings to start from, those of the map -> the settings to describe with.
Configured = Callable[[dict[str, Any]], Config]


def as_the_map(base: dict[str, Any]) -> Config:
    """No other settings than the map's own."""
    return load_config(base=base)


def reembed_map(
    source: Path,
    out: Path,
    configured: Configured = as_the_map,
    images: Path | None = None,
    like: Path | None = None,
    track: Track = no_progress,
) -> int:
    """Describe every keyframe of a map again, into a new map; returns their number.

    The images are those of a folder, by name, and thumbnails for the others, which is said. What
    the method fits is fitted on them or, with `like`, taken from another map, whose settings
    count then. All but descriptors and landmarks stays: ids, external ids, traverses, stamps,
    poses, cameras, keypoints with their points. Raises MapError.
    """
    require_free(out)
    with closing(KeyframeStore.open(source)) as store:
        base, config = _settings(store.manifest, like, configured)
        describer = Describer(config)
        frames = KeyframeImages(store, images)
        if like is not None:
            _take_fit(describer, like)
        fit(describer, frames, track)
        manifest = _manifest(describer, store.manifest, base)
        with appearing_whole(out) as partial:
            with closing(KeyframeStore.create(partial, manifest)) as new:
                count = _describe(describer, store, frames, new, track)
            PlaceMap.open(partial, config.map.index).close()  # makes the index
        frames.say_how_many()
        if store.note('calibration') is not None:
            log.warning('the calibration is of the old descriptors; calibrate the new map')
    return count


class KeyframeImages:
    """The images of a map's keyframes, each the best there is."""

    def __init__(self, store: KeyframeStore, folder: Path | None) -> None:
        self.store = store
        self.ids: list[int] = store.ids().tolist()
        self.files = {file.name: file for file in list_images(folder)} if folder else {}
        self.folder = folder
        self.small: set[int] = set()  # keyframes that only a thumbnail shows
        if not self.ids:
            raise MapError(f'the map at {store.folder} is empty; there is nothing to describe')

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Frame]:
        for number in self.ids:
            keyframe = self.store.keyframe(number)
            yield Frame(keyframe.name, self.image(number, keyframe), keyframe.stamp_ns)

    def image(self, number: int, keyframe: Keyframe) -> Image:
        """RGB (H, W, 3). Raises MapError where there is none, ImageError for a bad one."""
        file = self.files.get(keyframe.name)
        if file is not None:
            return read_image(file)
        if not keyframe.thumbnail:
            raise MapError(
                f'keyframe {number}, {keyframe.name}, has no thumbnail and no image in '
                f'{self.folder or "--images"}; give the folder with the images of the map'
            )
        self.small.add(number)
        try:
            return decode_compressed(keyframe.thumbnail)
        except ImageError as error:
            raise ImageError(f'the thumbnail of keyframe {number}: {error}') from None

    def say_how_many(self) -> None:
        """Warn of keyframes that were described from less than their image."""
        if self.small:
            log.warning(
                '%d of %d keyframes were described from their thumbnails, which show less than '
                'the original images; give the folder of these with --images',
                len(self.small),
                len(self.ids),
            )


def _settings(
    manifest: Manifest, like: Path | None, configured: Configured
) -> tuple[dict[str, Any], Config]:
    """Those of the map's model, or of the other map's, then what the user sets."""
    known = settings(Config())
    base = {name: value for name, value in manifest.settings.items() if name in known}
    if base.get('landmarks.selection') == 'lln':
        base['landmarks.selection'] = 'auto'  # another backbone may have no network
    if like is not None:
        with closing(KeyframeStore.open(like)) as other:
            theirs = other.manifest.settings
        base |= {n: v for n, v in theirs.items() if n in known and n not in _kept(manifest)}
    config = configured(base)
    chosen = settings(config)
    for name in _KEYPOINTS:
        if name in base and chosen[name] != base[name]:
            raise MapError(
                f'{name} is {chosen[name]}, but the keypoints of the map stay as they are '
                f'({base[name]}); leave it out, or build the map again'
            )
    return base, config


def _kept(manifest: Manifest) -> set[str]:
    """Settings of what a map keeps of its keyframes besides descriptors and landmarks."""
    return {name for name in manifest.settings if name.startswith('verification.')}


def _take_fit(describer: Describer, like: Path) -> None:
    with closing(KeyframeStore.open(like)) as other:
        if other.manifest.fingerprint != describer.fingerprint:
            raise MapError(
                f'the map at {like} was made by model {other.manifest.fingerprint}, this is '
                f'model {describer.fingerprint}; leave out --set and --config, or --like'
            )
        describer.load_fitted(other.manifest.fitted)


def _manifest(describer: Describer, old: Manifest, base: dict[str, Any]) -> Manifest:
    """Of the new model, but with what the keyframes keep of keypoints."""
    manifest = new_manifest(describer)
    kept = {name: old.settings[name] for name in _kept(old)}
    return replace(manifest, settings=dict(manifest.settings) | kept)


def _describe(
    describer: Describer,
    store: KeyframeStore,
    frames: KeyframeImages,
    new: KeyframeStore,
    track: Track,
) -> int:
    tracked = track(frames, 'describing', len(frames))
    described = _described(describer, store, zip(frames.ids, tracked, strict=True))
    count = 0
    while batch := list(islice(described, _BATCH)):
        count += len(new.add([keyframe for _, keyframe in batch], [i for i, _ in batch]).ids)
    with store.using() as connection:
        last = last_id(connection)
    with new.writing() as connection:
        reserve_ids(connection, last)
    return count


def _described(
    describer: Describer, store: KeyframeStore, frames: Iterable[tuple[int, Frame]]
) -> Iterator[tuple[int, Keyframe]]:
    for number, frame in frames:
        seen = describer.see_keyframe(frame.image)
        landmarks = describer.selector.select(seen.patches)
        old = store.keyframe(number)
        features = {kind: each for kind, each in old.local_features.items() if kind != 'landmarks'}
        if landmarks is not None:
            features['landmarks'] = pack(landmarks)
        yield number, replace(old, descriptors=seen.descriptors, local_features=features)

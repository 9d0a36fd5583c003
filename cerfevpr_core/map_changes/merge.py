"""Several maps of one model -> one map with all their keyframes."""

from __future__ import annotations

import filecmp
import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from cerfevpr_core.errors import MapError
from cerfevpr_core.map_changes.whole import appearing_whole
from cerfevpr_core.place_map import Keyframe, Manifest, PlaceMap
from cerfevpr_core.place_map.index import Kind
from cerfevpr_core.place_map.store import KeyframeStore

log = logging.getLogger(__name__)

_BATCH = 64  # keyframes a transaction
_SAME = ('landmarks.selection', 'verification.mode', 'verification.detector')
# Files that landmarks and keypoints were made with; another name may be of the same file.
_FILES = {
    'landmarks.weights': ('landmarks.selection', 'lln'),  # used where that is so
    'verification.weights': ('verification.mode', 'always'),
}


def merge_maps(sources: Sequence[Path], out: Path, prefix: bool = False) -> int:
    """Join maps into a new one; returns its number of keyframes.

    Keyframes get new ids, in the order of the maps, and keep all else. An external_id that two
    maps share is refused or, with `prefix`, every one gets the name of its map in front.
    Raises MapError for maps that cannot be compared.
    """
    with ExitStack() as opened:
        stores = [opened.enter_context(closing(KeyframeStore.open(each))) for each in sources]
        _require_different_folders(stores)
        for other in stores[1:]:
            _require_comparable(stores[0], other)
        if any(store.note('calibration') is not None for store in stores):
            log.warning('calibrations are of the maps they were made on; calibrate the new map')
        manifest = replace(stores[0].manifest, map_id=uuid.uuid4().hex)
        keyframes = (k for store in stores for k in _keyframes(store, prefix))
        with appearing_whole(out) as partial:
            return _write(partial, manifest, keyframes)


def _write(folder: Path, manifest: Manifest, keyframes: Iterable[Keyframe]) -> int:
    kind: Kind = manifest.settings.get('map.index', 'flat')
    with PlaceMap.create(folder, manifest, kind) as place_map:
        rest = iter(keyframes)
        while batch := list(islice(rest, _BATCH)):
            place_map.add(batch)
        return len(place_map)


def _keyframes(store: KeyframeStore, prefix: bool) -> Iterator[Keyframe]:
    for number in store.ids().tolist():
        keyframe = store.keyframe(number)
        if prefix and keyframe.external_id:
            name = store.folder.resolve().name
            keyframe = replace(keyframe, external_id=f'{name}:{keyframe.external_id}')
        yield keyframe


def _require_different_folders(stores: Sequence[KeyframeStore]) -> None:
    folders = [store.folder.resolve() for store in stores]
    if len(set(folders)) < len(folders):
        raise MapError('a map is named twice; give each one once')


def _require_comparable(first: KeyframeStore, other: KeyframeStore) -> None:
    """Descriptors of both must mean the same. Raises MapError with the command that helps."""
    help_ = (
        f'describe it again as the first one: `cerfevpr map reembed {other.folder} '
        f'--like {first.folder} --out NEW`, then merge NEW'
    )
    ours, theirs = first.manifest, other.manifest
    if ours.fingerprint != theirs.fingerprint:
        raise MapError(
            f'the map at {other.folder} was made by model {theirs.fingerprint}, that at '
            f'{first.folder} by model {ours.fingerprint}; {help_}'
        )
    if not _same_fit(ours, theirs):
        raise MapError(
            f'the maps at {first.folder} and {other.folder} were each fitted to their own images, '
            f'so that their descriptors cannot be compared; {help_}'
        )
    for name in _SAME:
        if ours.settings.get(name) != theirs.settings.get(name):
            raise MapError(
                f'the map at {other.folder} has {name} {theirs.settings.get(name)}, that at '
                f'{first.folder} {ours.settings.get(name)}; build one of them again'
            )
    for name, (user, value) in _FILES.items():
        one, two = (str(m.settings.get(name) or '') for m in (ours, theirs))
        if ours.settings.get(user) == value and not _same_weights(one, two):
            raise MapError(
                f'the map at {other.folder} was made with {name} {_named(two)}, that at '
                f'{first.folder} with {_named(one)}, which are not known to be the same; '
                + (help_ if name.startswith('landmarks') else 'build one of them again')
            )


def _same_weights(one: str, two: str) -> bool:
    """Whether two settings name the same file, or files with the same content."""
    if one == two:
        return True
    first, second = Path(one).expanduser(), Path(two).expanduser()
    return first.is_file() and second.is_file() and filecmp.cmp(first, second, shallow=False)


def _named(file: str) -> str:
    return file or 'the default weights'


def _same_fit(ours: Manifest, theirs: Manifest) -> bool:
    return ours.fitted.keys() == theirs.fitted.keys() and all(
        np.array_equal(value, theirs.fitted[name]) for name, value in ours.fitted.items()
    )

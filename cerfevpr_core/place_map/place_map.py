"""The map as everybody uses it: create, open, add, search, save, check."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import MapError
from cerfevpr_core.landmarks import Landmarks
from cerfevpr_core.landmarks.landmarks import unpack
from cerfevpr_core.place_map.index import MIN_FOR_IVFPQ, Kind, VectorIndex, kind_for
from cerfevpr_core.place_map.keyframes import Candidate, Keyframe
from cerfevpr_core.place_map.manifest import Manifest
from cerfevpr_core.place_map.neighbours import Neighbours
from cerfevpr_core.place_map.store import KeyframeStore

log = logging.getLogger(__name__)


class PlaceMap:
    """A directory with keyframes and an index; several threads may use it."""

    def __init__(self, store: KeyframeStore, index_kind: Kind = 'flat') -> None:
        self.store = store
        self.folder = store.folder
        self.manifest = store.manifest
        self.index_kind = index_kind
        self.lock = threading.RLock()
        self._neighbours: tuple[str, Neighbours] | None = None  # and for which generation
        self.generation = store.generation()  # the state of the keyframes that the index shows
        saved = VectorIndex.load(self.folder, self.generation, index_kind)
        self.index_saved = saved is not None
        self.index = saved if saved is not None else self._built_index()
        if self.index.kind != index_kind and len(self.index.keyframe_ids):
            log.warning(
                'map.index = %s needs %d descriptors to train, the map has %d: using flat',
                index_kind,
                MIN_FOR_IVFPQ,
                len(self.index.keyframe_ids),
            )

    @staticmethod
    def create(folder: Path, manifest: Manifest, index_kind: Kind = 'flat') -> PlaceMap:
        """An empty map in a new folder. Raises MapError where there is one already."""
        return PlaceMap(KeyframeStore.create(folder, manifest), index_kind)

    @staticmethod
    def open(folder: Path, index_kind: Kind = 'flat') -> PlaceMap:
        """A saved map. Raises MapError if it is missing, foreign or damaged."""
        return PlaceMap(KeyframeStore.open(folder), index_kind)

    def add(self, keyframes: Iterable[Keyframe]) -> list[int]:
        """Add keyframes in one transaction; on return they are on disk. Returns their ids."""
        keyframes = list(keyframes)
        with self.lock:
            if not keyframes:
                return []
            added = self.store.add(keyframes)
            if added.before != self.generation:  # another process added keyframes of its own
                self.generation, self.index = self.store.generation(), self._built_index()
                self.index_saved = False
                return added.ids
            counts = [len(k.descriptors) for k in keyframes]
            vectors = [np.asarray(k.descriptors, np.float32) for k in keyframes]
            ids = np.repeat(np.array(added.ids, np.int64), counts)
            self.index.add(ids, np.concatenate(vectors))
            self.generation, self.index_saved = added.after, False
        return added.ids

    def search(self, descriptor: NDArray[np.float32], top_k: int) -> list[Candidate]:
        """The keyframes most similar to a descriptor (E,), best first."""
        with self.lock:
            found = self.index.search(np.asarray(descriptor, np.float32), top_k)
        return self.store.candidates(found)

    def similarities(
        self, descriptor: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Of all keyframes to a descriptor (E,): ids (M,), ascending, and similarities (M,).

        NaN where an approximate index does not know.
        """
        with self.lock:
            return self.index.similarities(np.asarray(descriptor, np.float32))

    def landmarks(self, keyframe_ids: Iterable[int]) -> list[Landmarks | None]:
        """Those of keyframes, in the order asked for; None where a keyframe has none."""
        found = self.store.local_features('landmarks', keyframe_ids)
        return [None if blob is None else unpack(blob) for blob in found]

    def neighbours(self, of: Candidate, number: int, max_turn_deg: float) -> list[int]:
        """Keyframes with points that stand nearest to another one and look its way."""
        if of.pose is None:
            return []
        with self.lock:
            generation = self.store.generation()
            if self._neighbours is None or self._neighbours[0] != generation:
                self._neighbours = generation, Neighbours(*self.store.poses())
            return self._neighbours[1].of(of.keyframe_id, of.pose, number, max_turn_deg)

    def save(self, folder: Path | None = None) -> None:
        """Write the index, which only spares time at the next start; with a folder, a copy."""
        with self.lock:
            if self.index.kind != kind_for(self.index_kind, len(self.index.keyframe_ids)):
                self.index, self.index_saved = self._built_index(), False  # it has grown enough
            if folder is not None and folder.resolve() != self.folder.resolve():
                self.store.backup(folder)
                self._save_index(folder)
            elif not self.index_saved:
                self.index_saved = self._save_index(self.folder)

    def check(self) -> list[str]:
        """Every damage of the keyframes, in words; empty if all is sound."""
        return self.store.problems()

    def require(self, fingerprint: str, differing: Iterable[str] = ()) -> None:
        """Refuse another model than the one that made the map. Raises MapError."""
        if fingerprint != self.manifest.fingerprint:
            settings = '; '.join(differing) or 'the weights differ'
            raise MapError(
                f'the map at {self.folder} was made by model {self.manifest.fingerprint}, this is '
                f'model {fingerprint} ({settings}). Use the settings of the map (leave out --set '
                'and --config), or build it again with these: '
                '`cerfevpr map build`'
            )

    def require_keyframes(self) -> None:
        """Refuse an empty map. Raises MapError."""
        if not len(self):
            raise MapError(
                f'the map at {self.folder} is empty; add images with '
                f'`cerfevpr map add {self.folder} --images DIR`'
            )

    def __len__(self) -> int:
        return len(self.store)

    def close(self) -> None:
        """Save the index and close the file."""
        self.save()
        self.store.close()

    def __enter__(self) -> PlaceMap:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _built_index(self) -> VectorIndex:
        ids, vectors = self.store.vectors()
        if len(ids):
            log.info('building the index over %d descriptors', len(ids))
        return VectorIndex.build(self.index_kind, ids, vectors)

    def _save_index(self, folder: Path) -> bool:
        try:
            self.index.save(folder, self.generation)
        except (OSError, RuntimeError) as error:
            log.warning('the index is not saved and will be rebuilt: %s', error)
            return False
        return True

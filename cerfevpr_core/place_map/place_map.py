"""The map as everybody uses it: create, open, change, search, save, check."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import MapError
from cerfevpr_core.geometry import Pose
from cerfevpr_core.landmarks import Landmarks
from cerfevpr_core.landmarks.landmarks import unpack
from cerfevpr_core.place_map import calibration
from cerfevpr_core.place_map.derived import DerivedIndex
from cerfevpr_core.place_map.index import Kind
from cerfevpr_core.place_map.keyframes import Candidate, Keyframe
from cerfevpr_core.place_map.manifest import Manifest
from cerfevpr_core.place_map.neighbours import Neighbours
from cerfevpr_core.place_map.store import KeyframeStore

_TRIES = 3  # of a search whose answer is removed meanwhile

log = logging.getLogger(__name__)


class PlaceMap:
    """A directory with keyframes and an index; several threads may use it."""

    def __init__(self, store: KeyframeStore, index_kind: Kind = 'flat') -> None:
        self.store = store
        self.folder = store.folder
        self.manifest = store.manifest
        self.lock = threading.RLock()
        self.derived = DerivedIndex(store, index_kind)
        self._neighbours: tuple[str, Neighbours] | None = None  # and for which generation

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
            change = self.store.add(keyframes)
            self.derived.added(keyframes, change)
        return change.ids

    def remove(self, keyframe_ids: Sequence[int]) -> None:
        """Forget keyframes, in one transaction. Raises MapError for an unknown id."""
        with self.lock:
            if len(keyframe_ids):
                self.derived.changed(self.store.remove(keyframe_ids), removed=True)

    def update_poses(self, keyframe_ids: Sequence[int], poses: Sequence[Pose]) -> None:
        """New poses, as after a bundle adjustment, in one transaction: all of them or none.

        Raises MapError for an unknown id and for what is not finite or no unit quaternion.
        """
        with self.lock:
            change = self.store.update_poses(keyframe_ids, poses)
            self.derived.changed(change, removed=False)

    def search(
        self, descriptor: NDArray[np.float32], top_k: int, traverses: Sequence[str] = ()
    ) -> list[Candidate]:
        """The keyframes most similar to a descriptor (E,), best first, of all that are there now.

        Of the named traverses alone, if any are named; one that has vanished since has none.
        Raises MapError for an unknown one, and MapGoneError if the map was removed or replaced.
        """
        descriptor = np.asarray(descriptor, np.float32)
        for _ in range(_TRIES):
            with self.lock:
                found = self.derived.search(descriptor, top_k, traverses)
            candidates = self.store.candidates(found)
            if len(candidates) == len(found):
                break  # else another program has just removed one of them
        return candidates

    def refresh(self) -> bool:
        """Take what other programs have changed, as every search does; whether there was any."""
        with self.lock:
            return self.derived.catch_up()

    @property
    def generation(self) -> str:
        """The state of the keyframes that searches see: another one after every change."""
        return self.derived.generation

    @property
    def version(self) -> int:
        """Another number after another program wrote anything, as the last search saw it."""
        return self.derived.version

    def find(self, external_id: str) -> int | None:
        """The keyframe that a SLAM system knows by this id, or None."""
        return self.store.find(external_id)

    def traverses(self) -> list[str]:
        """Their names, sorted; '' stands for keyframes without one."""
        with self.lock:
            self.derived.catch_up()
            return self.derived.names()

    def calibration(self) -> bytes | None:
        """What `set_calibration` kept last, or None."""
        return calibration.read(self.store)

    def set_calibration(self, content: bytes) -> None:
        """Keep how similarities become probabilities on the map as it is now."""
        calibration.write(self.store, content)

    def calibration_age(self) -> int | None:
        """Keyframes added or removed since it was calibrated; None without a calibration."""
        return calibration.age(self.store)

    def similarities(
        self, descriptor: NDArray[np.float32]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Of all keyframes to a descriptor (E,): ids (M,), ascending, and similarities (M,).

        NaN where an approximate index does not know.
        """
        with self.lock:
            self.derived.catch_up()
            return self.derived.index.similarities(np.asarray(descriptor, np.float32))

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
            self.derived.catch_up()
            if folder is not None and folder.resolve() != self.folder.resolve():
                self.store.backup(folder)
                self.derived.save(folder)
            elif not self.derived.saved:
                self.derived.saved = self.derived.save(self.folder)

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
                'and --config), or describe its images again with these: '
                f'`cerfevpr map reembed {self.folder} --out NEW`'
            )

    def require_keyframes(self) -> None:
        """Refuse an empty map. Raises MapError."""
        if not len(self):
            raise MapError(
                f'the map at {self.folder} is empty; add images with '
                f'`cerfevpr map add {self.folder} --images DIR`'
            )

    def require_traverses(self, names: Sequence[str]) -> None:
        """Refuse names that no keyframe has. Raises MapError."""
        with self.lock:
            self.derived.require_traverses(names)

    def __len__(self) -> int:
        return len(self.store)

    def close(self) -> None:
        """Save the index and close the file."""
        try:
            self.save()
        except MapError as error:  # as of a map that was removed meanwhile
            log.warning('the index is not saved: %s', error)
        finally:
            self.store.close()

    def __enter__(self) -> PlaceMap:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

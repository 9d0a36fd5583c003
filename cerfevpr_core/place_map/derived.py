"""The vector index of a map's keyframes, kept in step with them whoever changes them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.errors import MapError
from cerfevpr_core.place_map.index import MIN_FOR_IVFPQ, Kind, VectorIndex, kind_for
from cerfevpr_core.place_map.keyframes import Keyframe
from cerfevpr_core.place_map.store import Changed, KeyframeStore

log = logging.getLogger(__name__)


class DerivedIndex:
    """The index of one store; its user makes sure that one thread at a time is here.

    `generation` is the state of the keyframes that it shows.
    """

    def __init__(self, store: KeyframeStore, kind: Kind) -> None:
        self.store, self.kind = store, kind
        self.version = store.data_version()
        self.generation = store.generation()
        self.traverse_of: dict[int, str] = {}
        self._once_known: set[str] = set()  # traverses, also those that are gone
        self._missed: set[str] = set()  # of these, those that a search was told of
        self._chosen: tuple[tuple[str, ...], str, NDArray[np.int64]] | None = None
        saved = VectorIndex.load(store.folder, self.generation, kind)
        self.saved = saved is not None
        self.index = saved if saved is not None else self._built()
        self._say_if_other_kind()

    def search(
        self, descriptor: NDArray[np.float32], top_k: int, traverses: Sequence[str]
    ) -> list[tuple[int, float]]:
        """Keyframe ids and similarities, best first, after what others have changed."""
        self.catch_up()
        only = self._ids_of(tuple(traverses)) if traverses else None
        return self.index.search(descriptor, top_k, only)

    def added(self, keyframes: Sequence[Keyframe], change: Changed) -> None:
        """Take what this program has just added."""
        if change.before != self.generation:  # another one has written in between
            self.catch_up(always=True)
            return
        vectors = [np.asarray(each.descriptors, np.float32) for each in keyframes]
        ids = np.repeat(np.array(change.ids, np.int64), [len(each) for each in vectors])
        self.index.add(ids, np.concatenate(vectors))
        self.generation, self.saved = change.after, False

    def changed(self, change: Changed, removed: bool) -> None:
        """Take what this program has just removed, or changed otherwise."""
        if change.before != self.generation:
            self.catch_up(always=True)
            return
        if removed:
            self._forget(np.array(change.ids, np.int64))
        self.generation, self.saved = change.after, False

    def catch_up(self, always: bool = False) -> bool:
        """Take what others have written since; whether there was anything."""
        version = self.store.data_version()
        if version == self.version and not always:
            return False
        with self.store.snapshot():
            self.store.require_same_map()
            generation = self.store.generation()
            if generation != self.generation:
                self._take(self.store.ids())
                self.saved = False
        before, self.generation = self.generation, generation
        self.version = version  # a write since then makes another one
        return before != generation

    def names(self) -> list[str]:
        """The traverses of the keyframes, sorted; those without a name are under ''."""
        self._read_traverses()
        found = self.index.known().tolist()
        return sorted({self.traverse_of[i] for i in found if i in self.traverse_of})

    def require_traverses(self, wanted: Sequence[str]) -> None:
        """Refuse names that no keyframe has. Raises MapError."""
        names = self.names() if wanted else []
        unknown = [name for name in wanted if name not in names]
        if unknown:
            known = ', '.join(repr(name) for name in names) or 'none'
            raise MapError(
                f'the map at {self.store.folder} has no traverse {unknown[0]!r}; it has {known}; '
                'choose among these with map.traverses, or leave it empty for all'
            )

    def save(self, folder: Path) -> bool:
        """Beside the keyframes; it only spares time at the next start, so a failure is no more."""
        if self.index.kind != kind_for(self.kind, len(self.index.keyframe_ids)):
            self.index = self._built()  # the map has grown enough
        try:
            self.index.save(folder, self.generation)
        except (OSError, RuntimeError) as error:
            log.warning('the index is not saved and will be rebuilt: %s', error)
            return False
        return True

    def _take(self, ids: NDArray[np.int64]) -> None:
        """Ids are never used twice and descriptors never change: the rest is as it was."""
        known = self.index.known()
        last = int(known[-1]) if len(known) else 0
        if len(np.setdiff1d(ids[ids <= last], known)):  # not by us: all is read anew
            self.index = self._built()
            return
        gone = np.setdiff1d(known, ids)
        if len(gone):
            self._forget(gone)
        if len(ids) and ids[-1] > last:
            self.index.add(*self.store.vectors(above_id=last))

    def _forget(self, ids: NDArray[np.int64]) -> None:
        self.index.remove(ids)
        for number in ids.tolist():
            self.traverse_of.pop(number, None)
        if self.index.worn:
            self.index = self._built()

    def _ids_of(self, traverses: tuple[str, ...]) -> NDArray[np.int64]:
        """Of the keyframes of some traverses, ascending.

        Raises MapError for one that never was; one whose keyframes were all removed has none.
        """
        if self._chosen is None or self._chosen[:2] != (traverses, self.generation):
            names = self.names()
            self.require_traverses([t for t in traverses if t not in self._once_known])
            self._say_what_is_gone(set(traverses) - set(names))
            ids = [i for i, name in sorted(self.traverse_of.items()) if name in traverses]
            self._chosen = traverses, self.generation, np.array(ids, np.int64)
        return self._chosen[2]

    def _say_what_is_gone(self, gone: set[str]) -> None:
        """Once: the search goes on among the others, and finds nothing where all are gone."""
        for name in sorted(gone - self._missed):
            log.warning(
                'the map at %s has no keyframe of the traverse %r any more; only the other '
                'names in map.traverses are searched now',
                self.store.folder,
                name,
            )
        self._missed = gone

    def _read_traverses(self) -> None:
        """Of keyframes that came since the last time."""
        last = max(self.traverse_of, default=0)
        new = self.store.traverses(above_id=last)
        self.traverse_of.update(new)
        self._once_known.update(name for _, name in new)

    def _built(self) -> VectorIndex:
        ids, vectors = self.store.vectors()
        if len(ids):
            log.info('building the index over %d descriptors', len(ids))
        return VectorIndex.build(self.kind, ids, vectors)

    def _say_if_other_kind(self) -> None:
        count = len(self.index.keyframe_ids)
        if self.index.kind != self.kind and count:
            log.warning(
                'map.index = %s needs %d descriptors to train, the map has %d: using flat',
                self.kind,
                MIN_FOR_IVFPQ,
                count,
            )

"""The vector index over the map's descriptors (FAISS): derived, checked at load, rebuilt."""

from __future__ import annotations

import hashlib
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

Kind = Literal['flat', 'hnsw', 'ivfpq']

FILE = 'index.faiss'
STAMP = 'index.json'

REMOVED = -1  # the owner of a row whose keyframe is gone

_LEFT_S = 60  # no program writes that long at a file without touching it

MIN_FOR_IVFPQ = 256 * 8  # fewer cannot train 256 codes for each part of a vector
_KNOWN_OF_IVFPQ = 2000  # best rows of such an index, where all are asked for


class VectorIndex:
    """Nearest descriptors by cosine; `keyframe_ids` (P,) names the owner of each row."""

    def __init__(self, index: faiss.Index, keyframe_ids: NDArray[np.int64], kind: Kind) -> None:
        self.index = index
        self.kind = kind  # as built: a small map has no ivfpq
        self.keyframe_ids = keyframe_ids
        self.num_keyframes = len(self.known())

    def known(self) -> NDArray[np.int64]:
        """Ids of the keyframes that can be found, ascending."""
        return np.unique(self.keyframe_ids[self.keyframe_ids != REMOVED])

    @staticmethod
    def build(
        kind: Kind, keyframe_ids: NDArray[np.int64], vectors: NDArray[np.float32]
    ) -> VectorIndex:
        """From all descriptors of a map: ids (P,), vectors (P, E)."""
        count, dim = vectors.shape
        kind = kind_for(kind, count)
        index = _make(kind, count, dim)
        if not index.is_trained:
            index.train(vectors)
        if count:
            index.add(vectors)
        return VectorIndex(index, keyframe_ids, kind)

    def add(self, keyframe_ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Append descriptors of new keyframes."""
        self.index.add(np.ascontiguousarray(vectors))
        self.keyframe_ids = np.concatenate([self.keyframe_ids, keyframe_ids])
        self.num_keyframes += len(np.unique(keyframe_ids))

    def remove(self, keyframe_ids: NDArray[np.int64]) -> None:
        """Never find these again; their rows stay until the index is built anew."""
        gone = np.isin(self.keyframe_ids, keyframe_ids)
        self.keyframe_ids = np.where(gone, REMOVED, self.keyframe_ids)
        self.num_keyframes = len(self.known())

    @property
    def worn(self) -> bool:
        """Whether so many rows are of removed keyframes that it should be built anew."""
        return 4 * int((self.keyframe_ids == REMOVED).sum()) > len(self.keyframe_ids)

    def search(
        self,
        descriptor: NDArray[np.float32],
        top_k: int,
        only: NDArray[np.int64] | None = None,
    ) -> list[tuple[int, float]]:
        """(E,) -> at most top_k (keyframe id, similarity), best first, each keyframe once.

        `only` holds the ids of those that may be found, ascending; None allows all.
        """
        allowed = self._allowed(only)
        total = int(allowed.sum())
        wanted, ask = min(top_k, self.num_keyframes), min(top_k, total)
        if only is not None:
            wanted = min(wanted, len(np.unique(self.keyframe_ids[allowed])))
        best: dict[int, float] = {}
        while len(best) < wanted:  # a keyframe's other descriptors may fill the first answers
            best.clear()
            similarities, rows = self._nearest(descriptor, ask, allowed, only is not None)
            for row, similarity in zip(rows, similarities, strict=True):
                if row >= 0:
                    best.setdefault(int(self.keyframe_ids[row]), float(similarity))
            if ask == total:
                break
            ask = min(2 * ask, total)
        return list(best.items())[:top_k]

    def _nearest(
        self,
        descriptor: NDArray[np.float32],
        count: int,
        allowed: NDArray[np.bool_],
        restricted: bool,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Similarities and rows (count,), best first; -1 where the index found no more."""
        index, how = self.index, None
        if not allowed.all():
            bits = np.packbits(allowed, bitorder='little')
            selector = faiss.IDSelectorBitmap(bits)  # type: ignore[call-arg, arg-type]
            if isinstance(index, faiss.IndexHNSW) and restricted:
                # Its links lead past most of a small choice, so all of that is looked at.
                index = faiss.downcast_index(index.storage)
            how = _parameters(index, selector, restricted)
        similarities, rows = index.search(descriptor[None], count, params=how)
        return similarities[0], rows[0]

    def _allowed(self, only: NDArray[np.int64] | None) -> NDArray[np.bool_]:
        allowed = self.keyframe_ids != REMOVED
        return allowed if only is None else allowed & np.isin(self.keyframe_ids, only)

    def similarities(
        self, descriptor: NDArray[np.float32], only: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(E,) -> all keyframe ids (M,), or `only` those, ascending, and similarities (M,).

        Exact with `flat` and `hnsw`; `ivfpq` knows the best alone, and NaN for the others.
        """
        each = self._of_each_row(descriptor)
        if only is None and self.kind != 'ivfpq' and self._one_row_each():
            return self.keyframe_ids, each.astype(np.float64)
        allowed = self._allowed(only)
        owners, rows = np.unique(self.keyframe_ids[allowed], return_inverse=True)
        best = np.full(len(owners), -np.inf)
        np.maximum.at(best, rows, each[allowed])
        best[np.isinf(best)] = np.nan
        return owners, best

    def _one_row_each(self) -> bool:
        """The usual map: keyframes with one descriptor, in order, none removed."""
        whole = len(self.keyframe_ids) == self.num_keyframes
        return whole and bool((np.diff(self.keyframe_ids) > 0).all())

    def _of_each_row(self, descriptor: NDArray[np.float32]) -> NDArray[np.float32]:
        count, dim = self.index.ntotal, self.index.d
        found = np.full(count, -np.inf, np.float32)
        if self.kind == 'ivfpq':
            values, rows = self.index.search(descriptor[None], min(count, _KNOWN_OF_IVFPQ))
            found[rows[0][rows[0] >= 0]] = values[0][rows[0] >= 0]
            return found
        if not count:
            return found
        index: Any = self.index  # its Python interface is not typed
        kept = index.storage if self.kind == 'hnsw' else index
        flat: Any = faiss.downcast_index(kept)
        vectors = faiss.rev_swig_ptr(flat.get_xb(), count * dim)
        return vectors.reshape(count, dim) @ descriptor

    def save(self, folder: Path, generation: str) -> None:
        """Beside the keyframes, with a stamp that says which state of them it was made from."""
        _sweep(folder)
        partial = folder / f'{FILE}.{os.getpid()}.new'
        stamp_file = partial.with_suffix('.json')
        try:
            faiss.write_index(self.index, str(partial))
            stamp = {
                'generation': generation,
                'kind': self.kind,
                'keyframe_ids': self.keyframe_ids.tolist(),
                'sha256': _sha256(partial, self.keyframe_ids),
            }
            stamp_file.write_text(json.dumps(stamp), encoding='utf-8')
            partial.replace(folder / FILE)
            stamp_file.replace(folder / STAMP)
        except (OSError, RuntimeError):  # as on a full disk, which what is left would keep full
            partial.unlink(missing_ok=True)
            stamp_file.unlink(missing_ok=True)
            raise

    @staticmethod
    def load(folder: Path, generation: str, kind: Kind) -> VectorIndex | None:
        """The saved index, or None where it is missing, damaged or made from another state."""
        if not ((folder / FILE).is_file() and (folder / STAMP).is_file()):
            return None  # also for a device or a pipe, which would be read for ever
        try:
            stamp = json.loads((folder / STAMP).read_text(encoding='utf-8'))
            keyframe_ids = np.array(stamp['keyframe_ids'], np.int64)
            kind = kind_for(kind, len(keyframe_ids))
            fits = stamp['generation'] == generation and stamp['kind'] == kind
            # FAISS trusts the sizes that a file states, so only an intact file may reach it.
            if not fits or stamp['sha256'] != _sha256(folder / FILE, keyframe_ids):
                return None
            return VectorIndex(faiss.read_index(str(folder / FILE)), keyframe_ids, kind)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RuntimeError):
            return None


def _parameters(
    index: faiss.Index, selector: faiss.IDSelector, restricted: bool
) -> faiss.SearchParameters:
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(  # type: ignore[attr-defined]
            sel=selector, efSearch=index.hnsw.efSearch
        )
    if isinstance(index, faiss.IndexIVF):
        # The nearest lists may hold nothing of a small choice.
        probes = index.nlist if restricted else index.nprobe
        return faiss.SearchParametersIVF(sel=selector, nprobe=probes)  # type: ignore[call-arg]
    return faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]


def _sweep(folder: Path) -> None:
    """What programs that were killed while they saved have left."""
    for file in folder.glob('index.faiss.*.new'), folder.glob('index.faiss.*.json'):
        for left in file:
            with suppress(OSError):  # another program sweeps too
                if time.time() - left.stat().st_mtime > _LEFT_S:
                    left.unlink()


def kind_for(kind: Kind, count: int) -> Kind:
    """What can be built over so many descriptors: a small map has no ivfpq."""
    return 'flat' if kind == 'ivfpq' and count < MIN_FOR_IVFPQ else kind


def _make(kind: Kind, count: int, dim: int) -> faiss.Index:
    if kind == 'hnsw':
        return faiss.IndexHNSWFlat(dim, 32, faiss.METRIC_INNER_PRODUCT)
    if kind == 'ivfpq':
        parts = max(m for m in range(1, min(dim, 64) + 1) if dim % m == 0)
        lists = max(1, min(int(4 * np.sqrt(count)), count // 64))
        coarse = faiss.IndexFlatIP(dim)
        index = faiss.IndexIVFPQ(coarse, dim, lists, parts, 8, faiss.METRIC_INNER_PRODUCT)
        index.own_fields = True
        coarse.this.disown()  # type: ignore[attr-defined]  # the index frees it
        index.nprobe = max(1, lists // 8)
        return index
    return faiss.IndexFlatIP(dim)


def _sha256(file: Path, keyframe_ids: NDArray[np.int64]) -> str:
    digest = hashlib.sha256(keyframe_ids.tobytes())
    with file.open('rb') as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

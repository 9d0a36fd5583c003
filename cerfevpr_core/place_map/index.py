"""The vector index over the map's descriptors (FAISS): derived, checked at load, rebuilt."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Literal

import faiss
import numpy as np
from numpy.typing import NDArray

Kind = Literal['flat', 'hnsw', 'ivfpq']

FILE = 'index.faiss'
STAMP = 'index.json'

MIN_FOR_IVFPQ = 256 * 8  # fewer cannot train 256 codes for each part of a vector


class VectorIndex:
    """Nearest descriptors by cosine; `keyframe_ids` (P,) names the owner of each row."""

    def __init__(self, index: faiss.Index, keyframe_ids: NDArray[np.int64], kind: Kind) -> None:
        self.index = index
        self.kind = kind  # as built: a small map has no ivfpq
        self.keyframe_ids = keyframe_ids
        self.num_keyframes = len(np.unique(keyframe_ids))

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

    def search(self, descriptor: NDArray[np.float32], top_k: int) -> list[tuple[int, float]]:
        """(E,) -> at most top_k (keyframe id, similarity), best first, each keyframe once."""
        total = len(self.keyframe_ids)
        wanted, ask = min(top_k, self.num_keyframes), min(top_k, total)
        best: dict[int, float] = {}
        while len(best) < wanted:  # a keyframe's other descriptors may fill the first answers
            best.clear()
            similarities, rows = self.index.search(descriptor[None], ask)
            for row, similarity in zip(rows[0], similarities[0], strict=True):
                if row >= 0:
                    best.setdefault(int(self.keyframe_ids[row]), float(similarity))
            if ask == total:
                break
            ask = min(2 * ask, total)
        return list(best.items())[:top_k]

    def save(self, folder: Path, generation: str) -> None:
        """Beside the keyframes, with a stamp that says which state of them it was made from."""
        partial = folder / f'{FILE}.{os.getpid()}.new'
        faiss.write_index(self.index, str(partial))
        stamp = {
            'generation': generation,
            'kind': self.kind,
            'keyframe_ids': self.keyframe_ids.tolist(),
            'sha256': _sha256(partial, self.keyframe_ids),
        }
        stamp_file = partial.with_suffix('.json')
        stamp_file.write_text(json.dumps(stamp), encoding='utf-8')
        partial.replace(folder / FILE)
        stamp_file.replace(folder / STAMP)

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

"""Table 5: a descriptor cut down to its principal components; nothing is trained."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.ablation.measure import Ranks
from cerfevpr_core.ablation.record import Record, protocol_of
from cerfevpr_core.ablation.versions import Version, Versions
from cerfevpr_core.config import Config
from cerfevpr_core.data.places import PlaceSet
from cerfevpr_core.describer import Describer, evenly
from cerfevpr_core.errors import ConfigError, ImageError
from cerfevpr_core.images import read_image
from cerfevpr_core.model import CerfeVPR
from cerfevpr_core.training.validation import Traverse, ranks_of
from cerfevpr_core.training.watch import Watch

log = logging.getLogger(__name__)

SIZES = (64, 128, 256, 512, 1024)

_Rows = NDArray[np.float32]
Cut = Callable[[_Rows, int], _Rows]


@dataclass(frozen=True)
class Pca:
    """Principal directions (E, K), the strongest first, and the mean (E,); no whitening."""

    mean: _Rows
    directions: _Rows

    def cut(self, rows: _Rows, size: int) -> _Rows:
        """Descriptors (..., E) -> (..., size), unit length again."""
        return _unit((rows - self.mean) @ self.directions[:, :size])


def leading(rows: _Rows, size: int) -> _Rows:
    """The first numbers of descriptors (..., E) -> (..., size), unit length again.

    Of a projection that a map fitted they are the strongest.
    """
    return _unit(rows[..., :size])


def fit_pca(rows: _Rows, count: int) -> Pca:
    """The `count` strongest directions of rows (N, E), N above `count`."""
    mean = rows.mean(axis=0)
    centred = (rows - mean).astype(np.float64)
    if len(rows) < rows.shape[1]:  # the same directions from the smaller matrix (N, N)
        variance, own = np.linalg.eigh(centred @ centred.T)
        directions = centred.T @ own[:, ::-1][:, :count]
        directions /= np.sqrt(variance[::-1][:count].clip(min=1e-12))
    else:
        directions = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :count]
    return Pca(mean, directions.astype(np.float32))


def compare_sizes(
    config: Config,
    sizes: Sequence[int],
    places: PlaceSet,
    traverses: Sequence[Traverse],
    out: Path,
    *,
    command: str,
    watch: Watch,
) -> Record:
    """The descriptor of the settings whole, and cut to each size.

    What is fitted, PCA and a vocabulary, is fitted on at most `train.start_images` of the places'
    images, never on those that it is measured on. Words and projection that belong to a map are
    fitted on each traverse's database, as a map would: the projection's directions are principal
    ones already, and PCA has nothing to add. Raises ConfigError, ImageError, WeightsError.
    """
    describer = Describer(config)
    by_map = isinstance(describer.model, CerfeVPR) and describer.needs_fit
    files = [file for place in places.places for file in place.files]
    files = [files[i] for i in evenly(len(files), config.train.start_images)]
    if not by_map:
        _fitted(describer, files)
    versions = _versions(describer, sizes, None if by_map else len(files))
    protocol = protocol_of('dimensions', describer.config, versions, places, traverses)
    protocol |= _fitted_on(None if by_map else len(files))
    protocol['model_fingerprint'] = describer.fingerprint
    record = Record(out, protocol, command)
    if all(row.name in record for row in versions.rows):
        return record
    start_s = time.monotonic()
    cut = leading if by_map else _principal(describer, files, versions, watch)
    described = [
        _describe(_fitted(Describer(config), t.database) if by_map else describer, t, watch)
        for t in traverses
    ]
    for row in (row for row in versions.rows if row.name not in record):
        size = row.differs.get('size')
        found = _answers(traverses, described, cut, size)
        spent_s = round(time.monotonic() - start_s, 1)
        record.add(row, found, descriptor_dim=size or _whole(describer), answer_s=spent_s)
    return record


def _principal(
    describer: Describer, files: Sequence[Path], versions: Versions, watch: Watch
) -> Cut:
    largest = max(row.differs.get('size', 1) for row in versions.rows)
    return fit_pca(_describe_places(describer, files, watch), largest).cut


def _fitted_on(num_images: int | None) -> dict[str, str]:
    """What the protocol says of the fit on so many of the places' images; None: on each map."""
    if num_images is None:
        return {'places': 'nothing', 'fitted': "on each traverse's database"}
    return {'fitted': f"on {num_images} of the places' images"}


def _whole(describer: Describer) -> int:
    """The size of the descriptor; of one that maps fit, once it is fitted."""
    model = describer.model
    return model.descriptor_dim if isinstance(model, CerfeVPR) else describer.descriptor_dim


def _versions(describer: Describer, sizes: Sequence[int], num_images: int | None) -> Versions:
    """The whole and its cuts; `num_images` is what PCA is fitted on, None without one."""
    whole, name = _whole(describer), 'pca' if num_images else 'first'
    kind = 'principal components' if num_images else "directions of the map's projection"
    rows = [
        Version(
            'whole',
            f'all {whole} numbers of {describer.config.method}',
            describer.config,
            {},
            False,
        )
    ]
    left_out = {}
    for size in sorted(set(sizes)):
        if size >= whole:
            left_out[f'{name}_{size}'] = f'the descriptor has {whole} numbers'
            continue
        note = f'the {size} strongest {kind}'
        rows.append(Version(f'{name}_{size}', note, describer.config, {'size': size}, False))
    if num_images and (largest := rows[-1].differs.get('size', 0)) >= num_images:
        raise ConfigError(
            f'--sizes {largest}: expected fewer than the {num_images} images that it is fitted '
            'on; add --images, or raise train.start_images'
        )
    return Versions(tuple(rows), left_out)


def _fitted(describer: Describer, files: Sequence[Path]) -> Describer:
    if describer.needs_fit:
        some = evenly(len(files), describer.fit_images)
        describer.fit(read_image(files[i]) for i in some)
    return describer


def _describe_places(describer: Describer, files: Sequence[Path], watch: Watch) -> _Rows:
    """One descriptor an image (N, E); what cannot be read is named and left out."""
    rows = []
    for file in watch.track(files, 'describing the places', len(files)):
        try:
            rows.append(describer.describe(read_image(file)))
        except ImageError as error:
            log.warning('left out: %s', error)
    return np.stack(rows)


def _describe(describer: Describer, traverse: Traverse, watch: Watch) -> tuple[_Rows, _Rows]:
    """Database (M, P, E), P descriptors of each image, and queries (Q, E), one at a time."""
    mapped = watch.track(traverse.database, f'{traverse.name}: database', len(traverse.database))
    database = [describer.see_keyframe(read_image(file)).descriptors for file in mapped]
    asked = watch.track(traverse.queries, f'{traverse.name}: queries', len(traverse.queries))
    return np.stack(database), np.stack([describer.describe(read_image(file)) for file in asked])


def _answers(
    traverses: Sequence[Traverse],
    described: Sequence[tuple[_Rows, _Rows]],
    cut: Cut,
    size: int | None,
) -> Ranks:
    found = {}
    for traverse, (database, queries) in zip(traverses, described, strict=True):
        if size:
            database, queries = cut(database, size), cut(queries, size)
        similarity = np.einsum('qe,mpe->qmp', queries, database, optimize=True).max(axis=2)
        found[traverse.name] = ranks_of(similarity, traverse.right)
    return found


def _unit(rows: NDArray[Any]) -> _Rows:
    unit: _Rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True).clip(min=1e-12)
    return unit

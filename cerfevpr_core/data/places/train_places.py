"""Public sets that name their images in a table of their own: getty, ie_tower, iiith_campus."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

from cerfevpr_core.config import TrainConfig
from cerfevpr_core.data.places.place import Place
from cerfevpr_core.data.places.positions import Shot, group
from cerfevpr_core.errors import ConfigError

# A millionth of a degree, as which the campus set gives latitude and longitude.
_M_PER_UNIT = 0.111


def read_getty(root: Path, config: TrainConfig) -> tuple[list[Place], int]:
    """Museum spots with views to all sides, by position alone.

    The number of a view does not say which way it looks: only a check of the overlap finds which
    views of neighbouring spots show the same.
    """
    rows = _rows(root / 'train.csv', ('id', 'x', 'y'))
    shots = [
        Shot(file, float(row['x']), float(row['y']))
        for row in rows
        for file in [root / 'train' / f'{row["id"]}.jpg']
        if file.is_file()
    ]
    return group(shots, config, str(root)), len(rows) - len(shots)


def read_ie_tower(root: Path) -> tuple[list[Place], int]:
    """A building: a place is an area of a floor, in the map's and the queries' images alike."""
    rows = _rows(root / 'dataset.csv', ('image_path', 'label', 'area'))
    files: dict[str, list[Path]] = defaultdict(list)
    num_missing = 0
    for row in rows:
        file = root.joinpath(*Path(row['image_path']).parts[1:])
        if file.is_file():
            files[f'{row["label"]}-{row["area"]}'].append(file)
        else:
            num_missing += 1
    return [Place(name, tuple(files[name])) for name in sorted(files)], num_missing


def read_iiith_campus(root: Path, config: TrainConfig) -> tuple[list[Place], int]:
    """A campus by scaled latitude and longitude, and the angle of the camera; noisy."""
    rows = _rows(root / 'labels_val.csv', ('filename', 'latitude', 'longitude', 'angle'))
    shots = [
        Shot(
            file,
            _M_PER_UNIT * float(row['longitude']),
            _M_PER_UNIT * float(row['latitude']),
            float(row['angle']),
        )
        for row in rows
        for file in [_as_jpg(root / row['filename'])]
        if file.is_file()
    ]
    return group(shots, config, str(root)), len(rows) - len(shots)


def _as_jpg(file: Path) -> Path:
    """The table keeps the suffixes of the originals; a resized copy may be all jpg."""
    return file if file.is_file() else file.with_suffix('.jpg')


def _rows(table: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    try:
        rows = csv.DictReader(table.read_text(encoding='utf-8-sig').splitlines())
    except OSError as error:
        raise ConfigError(f'cannot read {table}: {error.strerror}; check --layout') from None
    if not set(columns) <= set(rows.fieldnames or ()):
        raise ConfigError(
            f'{table}: expected the columns {",".join(columns)}, '
            f'found {",".join(rows.fieldnames or ())}'
        )
    return list(rows)

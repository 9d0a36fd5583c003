"""GSV-Cities as it is published: Dataframes/CITY.csv names the images of Images/CITY/."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from pathlib import Path

from cerfevpr_core.data.places.folders import images_of
from cerfevpr_core.data.places.place import Place
from cerfevpr_core.errors import ConfigError

_COLUMNS = ('place_id', 'year', 'month', 'northdeg', 'lat', 'lon', 'panoid')
_M_PER_DEG = 111_320.0

Key = tuple[int, int, int, int, str]  # place, year, month, northdeg, panoid


def read_gsv_cities(root: Path) -> tuple[list[Place], int]:
    """The places of every city, and how many rows have no image on disk.

    Coordinates are written in the file names as some tool formatted them: rows and files meet by
    what is left of a name without them.
    """
    places: list[Place] = []
    num_missing = 0
    tables = sorted((root / 'Dataframes').glob('*.csv'))
    if not tables:
        raise ConfigError(f'no tables at {root / "Dataframes"}/CITY.csv; check --layout')
    for table in tables:
        found, missing = _read_city(table, root / 'Images' / table.stem)
        places += found
        num_missing += missing
    return places, num_missing


def _read_city(table: Path, folder: Path) -> tuple[list[Place], int]:
    if not folder.is_dir():
        raise ConfigError(f'{table} names images of {folder}, which is not there')
    on_disk = {_key_of_name(f.stem): f for f in images_of(folder)}
    files: dict[int, list[Path]] = defaultdict(list)
    lat_lon: dict[int, tuple[float, float]] = {}
    num_missing = 0
    for key, position in _rows(table):
        file = on_disk.get(key)
        if file is None:
            num_missing += 1
            continue
        files[key[0]].append(file)
        lat_lon.setdefault(key[0], position)
    return [
        Place(
            f'{table.stem}-{number}', tuple(files[number]), _metres(*lat_lon[number]), table.stem
        )
        for number in sorted(files)
    ], num_missing


def _rows(table: Path) -> list[tuple[Key, tuple[float, float]]]:
    rows = csv.DictReader(table.read_text(encoding='utf-8-sig').splitlines())
    if not set(_COLUMNS) <= set(rows.fieldnames or ()):
        raise ConfigError(
            f'{table}: expected the columns {",".join(_COLUMNS)}, '
            f'found {",".join(rows.fieldnames or ())}'
        )
    try:
        return [
            (
                (
                    int(row['place_id']) % 10**5,  # some copies number cities in the digits above
                    int(row['year']),
                    int(row['month']),
                    int(row['northdeg']),
                    row['panoid'],
                ),
                (float(row['lat']), float(row['lon'])),
            )
            for row in rows
        ]
    except (TypeError, ValueError) as error:
        raise ConfigError(f'{table}, line {rows.line_num}: {error}') from None


def _key_of_name(stem: str) -> Key | None:
    parts = stem.split('_', 7)  # a panoid may hold underscores
    try:
        return (int(parts[1]), int(parts[2]), int(parts[3]), int(parts[4]), parts[7])
    except (IndexError, ValueError):
        return None


def _metres(lat: float, lon: float) -> tuple[float, float]:
    """East and north, good to compare neighbours within a city."""
    return lon * _M_PER_DEG * math.cos(math.radians(lat)), lat * _M_PER_DEG

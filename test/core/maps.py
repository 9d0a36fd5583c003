"""What the tests of the map share: a new map, its answers, its refusals, its database."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

from samples import error_of, unit_vectors

from cerfevpr_core.errors import MapError
from cerfevpr_core.place_map import Manifest, PlaceMap

DIM = 16
KINDS = ('flat', 'hnsw')

refused = partial(error_of, MapError)


def created(folder: Path, kind: str = 'flat') -> PlaceMap:
    """A new map without keyframes."""
    return PlaceMap.create(folder, Manifest('model', {'method': 'grid'}, DIM), kind)


def answers(place_map: PlaceMap) -> list[list[tuple[int, float]]]:
    """(keyframe id, similarity) of the five best of some queries, rounded for comparison."""
    found = [place_map.search(query, 5) for query in unit_vectors(10, DIM, seed=99)]
    return [[(c.keyframe_id, round(c.similarity, 5)) for c in each] for each in found]


def sql(folder: Path, *statements: str) -> None:
    """Change the database of a map behind its back."""
    connection = sqlite3.connect(folder / 'keyframes.sqlite')
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()

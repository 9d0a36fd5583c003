"""Which database images are right for which query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.data.frames import frame_number
from cerfevpr_core.data.positions import position_in_name, read_positions
from cerfevpr_core.errors import ConfigError


@dataclass(frozen=True)
class Positives:
    """`right` (Q, M): whether database image m shows the place of query q, by which rule.

    Where the rule knows positions, they are those of queries (Q, 2) and database (M, 2).
    """

    right: NDArray[np.bool_]
    rule: str
    queries_xy_m: NDArray[np.float64] | None = None
    database_xy_m: NDArray[np.float64] | None = None


def positives_by_frame(
    queries: Sequence[str], database: Sequence[str], tolerance: int
) -> Positives:
    """Frames of equal number, give or take `tolerance`.

    Raises ImageError for a name without a number, ConfigError for a negative tolerance.
    """
    if tolerance < 0:
        raise ConfigError(f'a frame tolerance of {tolerance}: expected 0 or more')
    query_numbers = np.array([frame_number(name) for name in queries])
    numbers = np.array([frame_number(name) for name in database])
    right = np.abs(query_numbers[:, None] - numbers[None]) <= tolerance
    return Positives(right, f'frames +-{tolerance}')


def positives_by_radius(
    queries: Sequence[str], database: Sequence[str], radius_m: float, file: Path | None
) -> Positives:
    """Images closer than a radius, by a CSV or by UTM in the names. Raises ConfigError."""
    if not 0 < radius_m < np.inf:
        raise ConfigError(f'a radius of {radius_m:g} m: expected metres above 0')
    table = read_positions(file) if file else {}
    query_xy, xy = (np.array([_position(n, table, file) for n in s]) for s in (queries, database))
    distances_m = np.linalg.norm(query_xy[:, None] - xy[None], axis=2)
    return Positives(distances_m <= radius_m, f'within {radius_m:g} m', query_xy, xy)


def _position(
    name: str, table: dict[str, tuple[float, float]], file: Path | None
) -> tuple[float, float]:
    found = table.get(name) or table.get(Path(name).stem) or position_in_name(name)
    if found is None:
        where = f'{file} has no row for it' if file else 'it is not in the form @east@north@'
        raise ConfigError(
            f'no position for {name}: {where}; give --positions FILE with name,x_m,y_m for the '
            'images of both folders'
        )
    return found

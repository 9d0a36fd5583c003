"""Where the robot may be at the next image along the order of keyframes, at a speed unknown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from cerfevpr_core.sequence.keyframe_table import KeyframeTable

Array = NDArray[np.float64]

# Keyframes an image, forward and backward: a slow robot sees one keyframe for many images.
_FORWARD = np.array([0.1, 0.3, 0.6, 1.0, 1.5, 2.2, 3.3, 5.0, 7.5])
SPEEDS = np.concatenate([-_FORWARD[::-1], [0.0], _FORWARD])  # (S,)


def speed_changes(next_one: float, any_one: float) -> Array:
    """(S, S): chance of the speed in a row after that in a column."""
    number = len(SPEEDS)
    beside = np.eye(number, k=1) + np.eye(number, k=-1)
    beside /= beside.sum(axis=0)
    return (
        (1 - next_one - any_one) * np.eye(number)
        + next_one * beside
        + any_one * np.ones_like(beside) / number
    )


def along_order(table: KeyframeTable) -> csr_array:
    """(S M, S M): from speed and keyframe to the next; past the end of a stretch mass is lost."""
    size, runs = len(table), table.runs()
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]  # of an empty map
    for number, speed in enumerate(SPEEDS):
        for offset, chance in _steps(speed):
            for run in runs:
                starts = np.arange(max(0, -offset), max(0, len(run) - max(0, offset)))
                source, target = run[starts], run[starts + offset]
                there = number * size
                parts.append((there + target, there + source, np.full(len(starts), chance)))
    rows, columns, chances = (np.concatenate(column) for column in zip(*parts, strict=True))
    shape = (len(SPEEDS) * size,) * 2
    return coo_array((chances, (rows, columns)), shape=shape).tocsr()


def _steps(speed: float) -> list[tuple[int, float]]:
    """Whole keyframes that a speed leads on by, with their chances."""
    if abs(speed) < 1:
        return [(0, 1 - abs(speed)), (int(np.sign(speed)), abs(speed))] if speed else [(0, 1.0)]
    spread = 0.1 + 0.25 * abs(speed)
    offsets = np.arange(np.floor(speed - 2 * spread), np.ceil(speed + 2 * spread) + 1)
    chances = np.exp(-0.5 * ((offsets - speed) / spread) ** 2)
    return list(zip(offsets.astype(int).tolist(), (chances / chances.sum()).tolist(), strict=True))

"""Ways to drive a street: which of its frames are seen, in which order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Way:
    """`frames` of the street in the order of the images; below 0: frame -1 - n of another street.

    `changes` are images at which the robot is somewhere else at once; there it has no odometry.
    """

    name: str
    frames: tuple[int, ...]
    changes: tuple[int, ...] = ()


def ways(number: int) -> list[Way]:
    """For a street of so many frames, 12 or more."""
    third, quarter = number // 3, number // 4
    varied = np.cumsum(np.random.default_rng(0).choice([0, 1, 1, 1, 2, 2, 3], number))
    outside = tuple(-1 - n for n in range(third))
    around = tuple(range(2 * quarter, 3 * quarter)), tuple(range(quarter))
    return [
        Way('every frame', tuple(range(number))),
        Way('every second', tuple(range(0, number, 2))),
        Way('every third', tuple(range(0, number, 3))),
        Way('each three times', tuple(n // 3 for n in range(3 * number))),
        Way('0 to 3 frames on', tuple(int(n) for n in varied if n < number)),
        Way('in reverse', tuple(reversed(range(number)))),
        Way('turns back', (*range(2 * third), *reversed(range(2 * third - 1)))),
        Way('stops for 100', (*range(third), *[third] * 100, *range(third, 2 * third))),
        Way(
            'jumps', (*around[0], *around[1], *range(3 * quarter, number)), (quarter, 2 * quarter)
        ),
        Way(
            'leaves, comes back',
            (*range(third), *outside, *range(third, 2 * third)),
            (third, 2 * third),
        ),
        Way('shuffled', tuple(np.random.default_rng(1).permutation(number).tolist())),
    ]

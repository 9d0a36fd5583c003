"""What one image says of each keyframe: odds against the robot being nowhere in the map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cerfevpr_core.config import SequenceConfig

Array = NDArray[np.float64]

_LEAST_SPREAD = 0.005  # of similarities: less is rounding, or a map of equal images
_LEAST_RANKED = 5  # candidates with landmarks, to know what is usual among them
_OLD_IMAGES = 30.0  # images' worth of trust that a keyframe is as similar as any to other places
_SAME_VIEW = 0.7  # correlation of the similarities of two images from almost one place
_MEMORY = 0.99  # of how similar a keyframe was so far: some 100 images count


@dataclass(frozen=True)
class Odds:
    """Natural logarithms (M,): `said` by the image, and `robust`, what one image may claim."""

    said: Array
    robust: Array


class Evidence:
    """From similarities to odds. Remembers which keyframes are similar to every image."""

    def __init__(self, config: SequenceConfig, size: int) -> None:
        self.config = config
        self.sums, self.images = np.zeros(size), 0.0
        self._last = np.zeros(size)  # the last image that was remembered

    def weigh(self, similarities: Array, landmarks: Array | None = None) -> Odds:
        """The descriptor's and the landmarks' similarities (M,), NaN where unknown -> odds.

        Every scale is the image's own, so that nothing depends on a map or on the light.
        """
        config = self.config
        above = self._special(above_usual(similarities)) - config.expected
        said = config.descriptor_weight * above
        if landmarks is not None:
            said = said + config.landmark_weight * _landmarks_above(landmarks, config)
        return Odds(said, config.most * np.tanh(said / config.most))

    def take_over(
        self, old: Evidence, rows: NDArray[np.int64], old_rows: NDArray[np.int64]
    ) -> None:
        """What was remembered of keyframes that another table had in other rows."""
        self.sums[rows], self._last[rows] = old.sums[old_rows], old._last[old_rows]
        self.images = old.images

    def _special(self, above: Array) -> Array:
        """Less for keyframes that have been similar to all images, as dark ones are by night.

        While a robot stands nothing is remembered: what it sees all the time is its place.
        """
        special = above - self.sums / (_OLD_IMAGES + self.images)
        if _correlation(above, self._last) < _SAME_VIEW:
            self.sums = _MEMORY * self.sums + above
            self.images = _MEMORY * self.images + 1
            self._last = above
        return special


def _correlation(first: Array, second: Array) -> float:
    first, second = first - first.mean(), second - second.mean()
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / lengths if lengths else 0.0


def above_usual(similarities: Array) -> Array:
    """How far above the usual similarity of this image, in spreads: (M,) -> (M,).

    Most keyframes show other places: the median is the usual, and the spread is that of the lower
    half, which right ones do not widen. Unknown ones count as usual.
    """
    known = similarities[np.isfinite(similarities)]
    if not len(known):
        return np.zeros(len(similarities))
    low, usual = np.quantile(known, [0.16, 0.5])
    found = (similarities - usual) / max(float(usual - low), _LEAST_SPREAD)
    return np.where(np.isfinite(found), found, 0.0)


def _landmarks_above(landmarks: Array, config: SequenceConfig) -> Array:
    """The same among the candidates that were re-ranked, bounded; the others are not judged."""
    if np.isfinite(landmarks).sum() < _LEAST_RANKED:
        return np.zeros(len(landmarks))
    above = np.maximum(above_usual(landmarks) - config.expected_landmarks, 0)
    return config.most_landmarks * np.tanh(above / config.most_landmarks)

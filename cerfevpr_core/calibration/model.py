"""Features of the first candidate -> the probability that it is right, as numbers in the map."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from cerfevpr_core.calibration.features import features_of
from cerfevpr_core.calibration.same_place import SamePlace
from cerfevpr_core.errors import MapError
from cerfevpr_core.place_map import Candidate

_FORM = 1
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)


@dataclass(frozen=True)
class Logistic:
    """1 / (1 + exp(-(bias + sum of weight * (feature - middle) / spread))), within limits.

    So few examples prove no certainty: the probability stays between `lowest` and `highest`.
    """

    names: tuple[str, ...]
    middle: tuple[float, ...]
    spread: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    lowest: float
    highest: float

    def probability(self, features: Mapping[str, float]) -> float:
        """Of features that have at least those it was fitted with."""
        terms = zip(self.names, self.middle, self.spread, self.weights, strict=True)
        logit = self.bias + sum(w * (features[n] - m) / s for n, m, s, w in terms)
        likely = 1 / (1 + math.exp(-max(-50.0, min(50.0, logit))))
        return min(max(likely, self.lowest), self.highest)


@dataclass(frozen=True)
class Calibration:
    """What a map keeps: the reach of its places, and a model for each set of features it knows.

    The first model is the one that knows most; `quality` says how it did on examples left out.
    `followed` are those for images in order, whose candidates have a belief; where there are none
    each image counts by itself.
    """

    same: SamePlace
    models: tuple[Logistic, ...]
    num_examples: int
    quality: Mapping[str, float] = field(default_factory=dict)
    followed: tuple[Logistic, ...] = ()

    def probability(self, candidate: Candidate, candidates: Sequence[Candidate]) -> float | None:
        """That a candidate is right, of all that were found; None where too little is known."""
        features = features_of(candidate, candidates, self.same)
        models = self.followed if self.followed and 'belief' in features else self.models
        model = next((m for m in models if features.keys() >= set(m.names)), None)
        return None if model is None else model.probability(features)

    def to_bytes(self) -> bytes:
        """As a map keeps it: JSON."""
        return json.dumps({'form': _FORM} | asdict(self), allow_nan=False).encode()

    @staticmethod
    def from_bytes(content: bytes) -> Calibration:
        """What `to_bytes` wrote. Raises MapError for anything else."""
        try:
            found = json.loads(content)
            if found['form'] != _FORM:
                raise ValueError(f'form {found["form"]}, expected {_FORM}')
            models = tuple(_logistic(each) for each in found['models'])
            followed = tuple(_logistic(each) for each in found.get('followed', ()))
            same = SamePlace(float(found['same']['reach_m']), int(found['same']['reach_frames']))
            quality = {str(k): float(v) for k, v in found['quality'].items()}
            return Calibration(same, models, int(found['num_examples']), quality, followed)
        # RecursionError: JSON of a hundred thousand brackets. OverflowError: a size of infinity.
        except _UNREADABLE as error:
            raise MapError(
                f'the calibration of the map cannot be read ({error!r}); make it again with '
                '`cerfevpr map calibrate MAP`'
            ) from None


def _logistic(found: Mapping[str, object]) -> Logistic:
    lists = {
        name: tuple(float(v) for v in found[name])  # type: ignore[attr-defined]
        for name in ('middle', 'spread', 'weights')
    }
    names = tuple(str(name) for name in found['names'])  # type: ignore[attr-defined]
    numbers = {name: float(found[name]) for name in ('bias', 'lowest', 'highest')}  # type: ignore[arg-type]
    model = Logistic(names, **lists, **numbers)  # type: ignore[arg-type]
    values = [*model.middle, *model.spread, *model.weights, *numbers.values()]
    sizes = {len(names), *(len(values) for values in lists.values())}
    if len(sizes) > 1 or not all(map(math.isfinite, values)) or 0 in model.spread:
        raise ValueError('its numbers do not fit together')
    if not 0 <= model.lowest <= model.highest <= 1:
        raise ValueError(f'probabilities from {model.lowest:g} to {model.highest:g}')
    return model

"""Examples -> a calibration, by logistic regression."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from cerfevpr_core.calibration.drives import examples_of_drives
from cerfevpr_core.calibration.examples import Example, Track, examples_of
from cerfevpr_core.calibration.features import BELIEF, GEOMETRY, LANDMARKS, PLAIN
from cerfevpr_core.calibration.model import Calibration, Logistic
from cerfevpr_core.calibration.reliability import calibration_error
from cerfevpr_core.calibration.same_place import SamePlace
from cerfevpr_core.config import load_config
from cerfevpr_core.decision import Decider
from cerfevpr_core.errors import UncalibratedError
from cerfevpr_core.map_model import map_settings, matching_describer
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.recognizer import PlaceRecognizer

_FEWEST = 10  # right and wrong examples, each
_STRENGTH = 30.0  # of the evidence against equal weights of nought (sklearn's C)
_FOLLOWED_STRENGTH = 3.0  # images of a drive are less than as many by themselves
_FOLDS = 5
_SETS = (PLAIN + LANDMARKS + GEOMETRY, PLAIN + GEOMETRY, PLAIN + LANDMARKS, PLAIN)

log = logging.getLogger(__name__)

Array = NDArray[np.float64]


def calibrate(recognizer: PlaceRecognizer, track: Track) -> Calibration:
    """Ask the map with its own images, fit, and keep the result in the map.

    Raises UncalibratedError where the map gives too few examples.
    """
    config, place_map = recognizer.config.decision, recognizer.place_map
    same = SamePlace.of(place_map.store.everything())
    examples = examples_of(recognizer, same, config.num_keyframes, config.seed, track)
    drives = examples_of_drives(recognizer, same, config.num_keyframes, config.seed, track)
    made = fit_calibration(examples, same, drives)
    place_map.set_calibration(made.to_bytes())
    return made


def calibrate_map(
    folder: Path, track: Track, file: Path | None = None, assignments: tuple[str, ...] = ()
) -> Calibration:
    """The same for a map on disk, with its own settings and those given.

    Raises MapError where there is no such map, UncalibratedError where it gives too few examples.
    """
    config = load_config(file, assignments, base=map_settings(folder))
    with PlaceMap.open(folder, config.map.index) as place_map:
        place_map.require_keyframes()
        describer = matching_describer(config, place_map)
        # What is there already, stale or unreadable, is replaced and not asked.
        undecided = Decider(config.decision, config.map.min_similarity, None)
        return calibrate(PlaceRecognizer(config, describer, place_map, undecided), track)


def fit_calibration(
    examples: Sequence[Example], same: SamePlace, drives: Sequence[Example] = ()
) -> Calibration:
    """Models of single images and, from drives, of images in order.

    Raises UncalibratedError where right or wrong examples are too few.
    """
    right = _right(examples)
    if _fewest(right) < _FEWEST:
        raise UncalibratedError(
            f'the map answers {int(right.sum())} of {len(right)} questions right; to calibrate, '
            f'{_FEWEST} right and {_FEWEST} wrong ones are needed: it is too small, keeps no '
            'thumbnails (map.thumbnail_px), or its images are too few or too unlike each other'
        )
    models, error = _fit_models(examples, _SETS, _STRENGTH)
    quality = {
        'calibration_error': error,
        'right_in_map': float(np.mean([e.right for e in examples if e.in_map])),
    }
    followed: tuple[Logistic, ...] = ()
    if _fewest(_right(drives)) >= _FEWEST:
        sets = [BELIEF + names for names in _SETS]
        followed, error = _fit_models(drives, sets, _FOLLOWED_STRENGTH)
        quality['calibration_error_followed'] = error
    elif drives:
        log.warning('too few drives through the map to calibrate images in order')
    return Calibration(same, models, len(examples) + len(drives), quality, followed)


def _fit_models(
    examples: Sequence[Example], sets: Sequence[tuple[str, ...]], strength: float
) -> tuple[tuple[Logistic, ...], float]:
    """One for each set of features that all examples know, the largest first; and its error."""
    right = _right(examples)
    known = set.intersection(*(set(each.features) for each in examples))
    tables = [(names, _table(examples, names)) for names in sets if known >= set(names)]
    models = tuple(_fit(table, right, names, strength) for names, table in tables)
    names, table = tables[0]
    likely = _left_out(table, right, names, strength)
    return models, calibration_error(likely, right)


def _right(examples: Sequence[Example]) -> NDArray[np.bool_]:
    return np.array([each.right for each in examples], bool)


def _fewest(right: NDArray[np.bool_]) -> int:
    return int(min(right.sum(), (~right).sum()))


def _table(examples: Sequence[Example], names: Sequence[str]) -> Array:
    """(examples, features)."""
    return np.array([[each.features[name] for name in names] for each in examples])


def _fit(
    table: Array, right: NDArray[np.bool_], names: Sequence[str], strength: float
) -> Logistic:
    """No evidence counts against itself: what would weigh below nought is left out."""
    middle, spread = table.mean(axis=0), table.std(axis=0)
    usable = spread > 1e-9
    weights = np.zeros(table.shape[1])
    while usable.any():
        scaled = (table[:, usable] - middle[usable]) / spread[usable]
        found = LogisticRegression(C=strength).fit(scaled, right)
        weights[:] = 0
        weights[usable], bias = found.coef_[0], float(found.intercept_[0])
        if (weights >= 0).all():
            break
        usable &= weights >= 0
    else:
        bias = float(np.log(right.mean() / (1 - right.mean())))
    kept = np.flatnonzero(usable).tolist()
    least = 0.5 / len(right)  # none of so many examples proves that there is none at all
    return Logistic(
        tuple(names[i] for i in kept),
        tuple(middle[kept].tolist()),
        tuple(spread[kept].tolist()),
        tuple(weights[kept].tolist()),
        bias,
        least,
        1 - least,
    )


def _left_out(
    table: Array, right: NDArray[np.bool_], names: Sequence[str], strength: float
) -> Array:
    """The probability of each example by a model fitted without it."""
    likely = np.zeros(len(right))
    for rest, part in StratifiedKFold(_FOLDS).split(table, right):
        model = _fit(table[rest], right[rest], names, strength)
        rows = (dict(zip(names, row, strict=True)) for row in table[part])
        likely[part] = [model.probability(row) for row in rows]
    return likely

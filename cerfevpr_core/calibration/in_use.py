"""The calibration of a map in use, which another program may make anew meanwhile."""

from __future__ import annotations

import logging

from cerfevpr_core.config import DecisionConfig
from cerfevpr_core.decision import Decider
from cerfevpr_core.errors import MapError
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.place_map.calibration import in_words

log = logging.getLogger(__name__)


class CalibrationInUse:
    """Decides by what a map keeps now. Raises MapError where that cannot be read at the start."""

    def __init__(self, config: DecisionConfig, min_similarity: float, place_map: PlaceMap) -> None:
        self.config, self.min_similarity, self.place_map = config, min_similarity, place_map
        self._version = place_map.version
        self._content = place_map.calibration()
        self._decider = Decider.of_map(config, min_similarity, place_map)
        self._told = ((-1, ''), '')  # the map's state, and what was said of it

    def decider(self) -> Decider:
        """By the calibration that the last search could see; a new one is taken, and said.

        One that cannot be read is said too; the one before stays in use.
        """
        if self.place_map.version != self._version:
            self._version = self.place_map.version
            try:
                self._take(self.place_map.calibration())
            except MapError as error:
                log.warning('a new calibration is not taken, the one before stays: %s', error)
        return self._decider

    def in_words(self) -> str:
        """What an operator should know of it. Raises MapError where the map is gone."""
        store = self.place_map.store
        state = store.data_version(), store.generation()
        if self._told[0] != state:  # counting reads all ids
            age = self.place_map.calibration_age()
            stale = age is not None and age > self.config.stale * len(self.place_map)
            self._told = state, ('stale: ' if stale else '') + in_words(age)
        return self._told[1]

    def _take(self, content: bytes | None) -> None:
        if content != self._content:
            self._content = content
            self._decider = Decider.of_map(self.config, self.min_similarity, self.place_map)
            log.info('the map at %s was calibrated meanwhile', self.place_map.folder)

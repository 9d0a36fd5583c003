"""From candidates to a decision: match, unknown, or ambiguous."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from cerfevpr_core.calibration.features import rival_of
from cerfevpr_core.calibration.model import Calibration
from cerfevpr_core.config import DecisionConfig
from cerfevpr_core.place_map import Candidate, PlaceMap

log = logging.getLogger(__name__)


class Decision(IntEnum):
    """The numbers are those of the message."""

    UNKNOWN = 0
    MATCH = 1
    AMBIGUOUS = 2


@dataclass(frozen=True)
class Decided:
    """A decision, and the candidates with the probabilities that it rests on."""

    decision: Decision
    candidates: list[Candidate]


class Decider:
    """Decides by the map's calibration; without one by `min_similarity`, and says so once."""

    def __init__(
        self, config: DecisionConfig, min_similarity: float, calibration: Calibration | None
    ) -> None:
        self.config, self.min_similarity = config, min_similarity
        self.calibration = calibration
        self._said = False

    @staticmethod
    def of_map(config: DecisionConfig, min_similarity: float, place_map: PlaceMap) -> Decider:
        """With what the map keeps. Raises MapError where that cannot be read."""
        content = place_map.calibration()
        if content is None:
            log.warning(
                'the map at %s is not calibrated: there are no probabilities, and every answer '
                'above map.min_similarity is a match; `cerfevpr map calibrate %s` changes that',
                place_map.folder,
                place_map.folder,
            )
            return Decider(config, min_similarity, None)
        age, size = place_map.calibration_age() or 0, len(place_map)
        if age > config.stale * size:
            log.warning(
                'the calibration of the map at %s is stale: %d keyframes were added or removed '
                'since, %d are in it; `cerfevpr map calibrate %s` renews it',
                place_map.folder,
                age,
                size,
                place_map.folder,
            )
        return Decider(config, min_similarity, Calibration.from_bytes(content))

    def decide(self, candidates: Sequence[Candidate]) -> Decided:
        """Of candidates in their order: the probability of the first, and of its best rival."""
        if not candidates:
            return Decided(Decision.UNKNOWN, [])
        likely = self._probability(candidates[0], candidates)
        if self.calibration is None or likely is None:
            return Decided(self._by_similarity(candidates[0]), list(candidates))
        known = {candidates[0].keyframe_id: likely}
        rival = rival_of(candidates[0], candidates, self.calibration.same)
        both = likely
        if rival is not None:
            other = self.calibration.probability(rival, candidates) or 0.0
            # One image shows one place: together they are not more than certain.
            known[rival.keyframe_id] = min(other, 1 - likely)
            both += known[rival.keyframe_id]
        decided = [replace(c, probability=known.get(c.keyframe_id)) for c in candidates]
        if likely >= self.config.min_probability:
            return Decided(Decision.MATCH, decided)
        is_shared = both >= self.config.min_probability
        return Decided(Decision.AMBIGUOUS if is_shared else Decision.UNKNOWN, decided)

    def doubt(self, keyframe_ids: Collection[int], candidates: Sequence[Candidate]) -> str | None:
        """Why a pose that stands on these keyframes is not to be believed; None if it is.

        Streets are built alike: geometry agrees now and then where all else says another place.
        """
        if self.calibration is None:
            return None
        stands = [c for c in candidates if c.keyframe_id in keyframe_ids]
        known = [self.calibration.probability(c, candidates) for c in stands]
        likely = max((p for p in known if p is not None), default=None)
        if likely is None or likely >= self.config.min_pose_probability:
            return None
        return (
            f'its keyframes show the place with probability {likely:.2f}, '
            f'below {self.config.min_pose_probability:g}'
        )

    def _probability(self, first: Candidate, candidates: Sequence[Candidate]) -> float | None:
        if self.calibration is None:
            return None
        likely = self.calibration.probability(first, candidates)
        if likely is None and not self._said:
            log.warning(
                'the map was calibrated with what these settings leave out (landmarks?): there '
                'are no probabilities; calibrate it with these settings'
            )
            self._said = True
        return likely

    def _by_similarity(self, first: Candidate) -> Decision:
        return Decision.MATCH if first.similarity >= self.min_similarity else Decision.UNKNOWN

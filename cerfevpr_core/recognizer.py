"""What runs: one image in, one Recognition out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cerfevpr_core.calibration.in_use import CalibrationInUse
from cerfevpr_core.config import Config, load_config
from cerfevpr_core.decision import Decider, Decision
from cerfevpr_core.describer import Describer
from cerfevpr_core.geometry import Camera
from cerfevpr_core.images import Image
from cerfevpr_core.map_model import map_settings, matching_describer
from cerfevpr_core.place_map import Candidate, PlaceMap
from cerfevpr_core.relocalizer import Relocalized, Relocalizer
from cerfevpr_core.reranking import rerank_first
from cerfevpr_core.sequence import Motion, SequenceFilter
from cerfevpr_core.verification import PoseEstimate
from cerfevpr_core.view import View


@dataclass(frozen=True)
class Recognition:
    """The answer to one image: candidates best first, and the time of each stage.

    `pose` is that of the camera in the map, verified; without one `pose_reason` says why, if
    candidates were verified at all.
    """

    decision: Decision
    candidates: list[Candidate]
    map_id: str
    model_fingerprint: str
    stage_ms: dict[str, float]
    pose: PoseEstimate | None = None
    pose_reason: str | None = None
    nowhere: float | None = None  # chance to be in no place of the map; None for a single image


@dataclass(frozen=True)
class Answer:
    """A recognition under its image's name; `picture` is a small jpeg, where one is wanted."""

    name: str
    recognition: Recognition
    picture: bytes = b''


class PlaceRecognizer:
    """A model and a map that fit each other."""

    def __init__(
        self,
        config: Config,
        describer: Describer,
        place_map: PlaceMap,
        decider: Decider | None = None,
    ) -> None:
        self.config = config
        self.describer = describer
        self.place_map = place_map
        # A map says `always` if its keyframes have keypoints; nothing else can be verified with.
        kept = place_map.manifest.settings.get('verification.mode', 'never')
        verifies = config.verification.mode != 'never' and kept == 'always'
        self.relocalizer = Relocalizer(config.verification, place_map) if verifies else None
        self._decider = decider
        self.calibration: CalibrationInUse | None = None
        if decider is None:
            least = config.map.min_similarity
            self.calibration = CalibrationInUse(config.decision, least, place_map)

    @staticmethod
    def load(
        folder: Path,
        file: Path | None = None,
        assignments: tuple[str, ...] = (),
        overrides: Mapping[str, Any] | None = None,
        may_be_empty: bool = False,
    ) -> PlaceRecognizer:
        """Open a map with the model that made it; only what is set explicitly may differ.

        Raises MapError for a map that is missing, damaged, of another model, or empty unless
        somebody may be adding to it.
        """
        base = map_settings(folder)
        config = load_config(file, assignments, overrides, base)
        with ExitStack() as on_error:
            place_map = PlaceMap.open(folder, config.map.index)
            on_error.callback(place_map.store.close)
            if not may_be_empty:
                place_map.require_keyframes()
            place_map.require_traverses(config.map.traverses)
            describer = matching_describer(config, place_map)
            recognizer = PlaceRecognizer(config, describer, place_map)
            on_error.pop_all()
        return recognizer

    def recognize(
        self,
        image: Image,
        top_k: int | None = None,
        camera: Camera | None = None,
        sequence: SequenceFilter | None = None,
        motion: Motion | None = None,
    ) -> Recognition:
        """RGB (H, W, 3) -> the places it may show. Raises ImageError for a bad image.

        A pose needs the camera; without one that of the map is taken if its images are as large.
        `sequence` remembers the images before this one, and `motion` is that since the last.
        """
        clock = StageClock()
        top_k = top_k or self.config.map.top_k
        view = self.describe(image)
        clock.stop('describe')
        candidates = self._search(view, top_k)
        clock.stop('search')
        if view.landmarks is not None:
            candidates = self._rerank(view, candidates)
            clock.stop('rerank')
        nowhere = None
        if sequence is not None:
            candidates, nowhere = self.follow(view, candidates, sequence, motion)
            clock.stop('sequence')
        found = Relocalized(candidates)
        if self.relocalizer is not None:
            found = self.relocalizer.relocalize(image, camera, candidates)
            clock.stop('verify')
        decided = self.decider.decide(found.candidates)
        found = self._believed(found)
        if self.decider.calibration is not None:
            clock.stop('decide')
        return Recognition(
            decided.decision,
            decided.candidates[:top_k],
            self.place_map.manifest.map_id,
            self.describer.fingerprint,
            clock.stage_ms,
            found.pose,
            found.pose_reason,
            nowhere,
        )

    @property
    def decider(self) -> Decider:
        """The one that was given, or by the calibration that the map has now."""
        if self.calibration is not None:
            return self.calibration.decider()
        assert self._decider is not None
        return self._decider

    def _believed(self, found: Relocalized) -> Relocalized:
        """Without a pose that the calibration holds for another place's."""
        if found.pose is None:
            return found
        doubt = self.decider.doubt(found.pose.keyframe_ids, found.candidates)
        return replace(found, pose=None, pose_reason=doubt) if doubt else found

    def sequence(self) -> SequenceFilter | None:
        """A new belief for one stream of images in order; None where settings say never."""
        config, traverses = self.config.sequence, self.config.map.traverses
        if config.mode == 'never':
            return None
        return SequenceFilter(config, self.place_map, traverses)

    def describe(self, image: Image) -> View:
        """The view that later stages work on."""
        seen = self.describer.see(image)
        return View(image, seen.descriptor, self.describer.selector.select(seen.patches))

    def rank(
        self, view: View, top_k: int, sequence: SequenceFilter | None = None
    ) -> list[Candidate]:
        """The candidates of a view in the order of `recognize`, which also verifies them."""
        candidates = self._rerank(view, self._search(view, top_k))
        if sequence is None:
            return candidates
        return self.follow(view, candidates, sequence)[0]

    def choose_traverses(self, names: tuple[str, ...]) -> None:
        """Search these alone from now on; none: all. Raises MapError for an unknown one."""
        self.place_map.require_traverses(names)
        self.config = replace(self.config, map=replace(self.config.map, traverses=names))

    def close(self) -> None:
        """Close the map."""
        self.place_map.close()

    def _search(self, view: View, top_k: int) -> list[Candidate]:
        """As many as are asked for, re-ranked and verified."""
        if view.landmarks is not None:
            top_k = max(top_k, self.config.landmarks.num_candidates)
        if self.relocalizer is not None:
            top_k = max(top_k, self.config.verification.num_candidates)
        return self.place_map.search(view.descriptor, top_k, self.config.map.traverses)

    def _rerank(self, view: View, candidates: list[Candidate]) -> list[Candidate]:
        """The first ones by their landmarks; what was found beyond them stays behind."""
        return rerank_first(view, candidates, self.place_map, self.config.landmarks)

    def follow(
        self,
        view: View,
        candidates: list[Candidate],
        sequence: SequenceFilter,
        motion: Motion | None = None,
    ) -> tuple[list[Candidate], float]:
        """Candidates in the order of the belief, and the chance to be in no place of the map."""
        followed = sequence.follow(view.descriptor, candidates, motion)
        return self._with_landmarks(view, followed.candidates), followed.nowhere

    def _with_landmarks(self, view: View, candidates: list[Candidate]) -> list[Candidate]:
        """Match the first ones that came in by the sequence; the order stays."""
        first = max(self.config.map.top_k, self.config.verification.num_candidates)
        new = [c for c in candidates[:first] if c.landmark_matches is None]
        if view.landmarks is None or not new:
            return candidates
        matched = {c.keyframe_id: c for c in self._rerank(view, new)}
        return [matched.get(c.keyframe_id, c) for c in candidates]


class StageClock:
    """Milliseconds by stage, in the order they ran."""

    def __init__(self) -> None:
        self.stage_ms: dict[str, float] = {}
        self._since = time.perf_counter()

    def stop(self, stage: str) -> None:
        """The stage that ran since the last stop is over."""
        now = time.perf_counter()
        self.stage_ms[stage] = 1000 * (now - self._since)
        self._since = now

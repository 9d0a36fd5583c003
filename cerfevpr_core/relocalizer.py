"""From candidates to a pose: geometric verification with what the map keeps of its keyframes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.geometry import Camera
from cerfevpr_core.images import Image
from cerfevpr_core.place_map import Candidate, PlaceMap
from cerfevpr_core.verification import (
    CandidateView,
    Keypoints,
    MapView,
    PoseEstimate,
    Verifier,
    load_detector,
    no_keypoints,
)
from cerfevpr_core.verification.keypoints import unpack

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Relocalized:
    """Candidates in their order, with what geometry says of them; a pose, or why there is none."""

    candidates: list[Candidate]
    pose: PoseEstimate | None = None
    pose_reason: str | None = None


class Relocalizer:
    """Verifies the candidates of a map that keeps keypoints.

    Raises WeightsError where the detector's weights are missing.
    """

    def __init__(self, config: VerificationConfig, place_map: PlaceMap) -> None:
        self.config, self.place_map = config, place_map
        self.detector = load_detector(config)
        self.verifier = Verifier(config)
        self._said = False

    def relocalize(
        self,
        image: Image,
        camera: Camera | None,
        candidates: Sequence[Candidate],
    ) -> Relocalized:
        """Verify the first candidates of an image; their regions say where to match."""
        around = {c.keyframe_id: self.neighbours(c) for c in candidates}
        keypoints = self.detector.detect(image)
        return self.verify(keypoints, image.shape[:2], camera, candidates, around)

    def verify(
        self,
        keypoints: Keypoints,
        size_px: tuple[int, int],
        camera: Camera | None,
        candidates: Sequence[Candidate],
        around: Mapping[int, Sequence[int]],
    ) -> Relocalized:
        """Verify the first candidates for the keypoints of an image of this size, height first.

        `around` has the keyframes beside each candidate whose points may join its own.
        """
        chosen = candidates[: self.config.num_candidates]
        views = self._views(chosen, around)
        if camera is None:
            camera = self._camera_of_the_map(size_px, views)
        found = self.verifier.verify(keypoints, size_px, camera, views)
        verified = [
            replace(
                candidate,
                verified=each.verified,
                num_inliers=each.num_inliers,
                inlier_ratio=each.inlier_ratio,
                reject_reason=each.reject_reason,
                relative_pose=each.relative_pose,
                scale_known=each.scale_known,
            )
            for candidate, each in zip(chosen, found.verifications, strict=True)
        ]
        return Relocalized(
            [*verified, *candidates[len(verified) :]], found.pose, found.pose_reason
        )

    def neighbours(self, candidate: Candidate) -> list[int]:
        """The keyframes whose points may join those of a candidate."""
        number, turn_deg = self.config.num_neighbours, self.config.max_neighbour_turn_deg
        return self.place_map.neighbours(candidate, number, turn_deg)

    def _views(
        self, candidates: Sequence[Candidate], around: Mapping[int, Sequence[int]]
    ) -> list[CandidateView]:
        around = {c.keyframe_id: around.get(c.keyframe_id, ()) for c in candidates}
        known = self._keyframes({n for ids in around.values() for n in ids} | around.keys())
        return [
            CandidateView(
                replace(known[c.keyframe_id], regions=c.regions),
                tuple(known[n] for n in around[c.keyframe_id]),
            )
            for c in candidates
        ]

    def _keyframes(self, ids: set[int]) -> dict[int, MapView]:
        ordered = sorted(ids)
        store = self.place_map.store
        found = {c.keyframe_id: c.pose for c in store.candidates((n, 0.0) for n in ordered)}
        cameras = store.cameras(ordered)
        blobs = store.local_features('keypoints', ordered)
        none = no_keypoints(self.detector.kind)
        # One that was removed since the search has neither keypoints nor a pose.
        return {
            number: MapView(
                number, none if blob is None else unpack(blob), found.get(number), camera
            )
            for number, blob, camera in zip(ordered, blobs, cameras, strict=True)
        }

    def _camera_of_the_map(
        self, size_px: tuple[int, int], views: Sequence[CandidateView]
    ) -> Camera | None:
        """That of the first candidate, if its images are as large: most robots keep theirs."""
        height, width = size_px
        camera = views[0].keyframe.camera if views else None
        if camera is None or (camera.width_px, camera.height_px) != (width, height):
            return None
        if not self._said:
            log.warning("no camera was given; the map's own is taken for the query's")
            self._said = True
        return camera

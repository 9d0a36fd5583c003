"""What the core found -> messages."""

from __future__ import annotations

import math

from std_msgs.msg import Header

from cerfevpr_core.place_map import Candidate
from cerfevpr_core.recognizer import Recognition
from cerfevpr_msgs.msg import KeyframeCandidates, PlaceMatch, PlaceMatchArray
from cerfevpr_ros.conversions import ns_to_stamp, pose_to_msg


def matches_to_msg(recognition: Recognition, header: Header) -> PlaceMatchArray:
    """All that was found for the image of this header."""
    return PlaceMatchArray(
        header=header,
        decision=int(recognition.decision),
        map_id=recognition.map_id,
        model_fingerprint=recognition.model_fingerprint,
        matches=[_match(candidate) for candidate in recognition.candidates],
        stages=list(recognition.stage_ms),
        stage_ms=list(recognition.stage_ms.values()),
    )


def candidates_to_msg(recognition: Recognition, header: Header) -> KeyframeCandidates:
    """The short form that a SLAM system wants: ids, best first."""
    candidates = recognition.candidates
    return KeyframeCandidates(
        header=header,
        keyframe_ids=[c.keyframe_id for c in candidates],
        external_ids=[c.external_id for c in candidates],
        similarities=[c.similarity for c in candidates],
    )


def _match(candidate: Candidate) -> PlaceMatch:
    match = PlaceMatch(
        keyframe_id=candidate.keyframe_id,
        external_id=candidate.external_id,
        traverse=candidate.traverse,
        keyframe_stamp=ns_to_stamp(candidate.stamp_ns),
        similarity=candidate.similarity,
        landmark_similarity=_or_nan(candidate.landmark_similarity),
        probability=_or_nan(candidate.probability),
        verified=candidate.verified,
        num_inliers=candidate.num_inliers or 0,
        reject_reason=candidate.reject_reason or '',
    )
    if candidate.pose is not None:
        match.keyframe_pose = pose_to_msg(candidate.pose)
    else:  # no rotation has an all-zero quaternion: nobody takes it for a pose
        match.keyframe_pose.orientation.w = 0.0
    return match


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value

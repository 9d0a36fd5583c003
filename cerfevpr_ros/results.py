"""What the core found -> messages."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from geometry_msgs.msg import PoseWithCovariance, PoseWithCovarianceStamped
from std_msgs.msg import Header

from cerfevpr_core.loop_closure import LoopClosure
from cerfevpr_core.place_map import Candidate
from cerfevpr_core.recognizer import Recognition
from cerfevpr_core.verification import PoseEstimate
from cerfevpr_msgs.msg import (
    KeyframeAdded,
    KeyframeCandidates,
    PlaceMatch,
    PlaceMatchArray,
    RegionMatch,
)
from cerfevpr_msgs.msg import LoopClosure as LoopClosureMsg
from cerfevpr_ros.conversions import ns_to_stamp, pose_to_msg

if TYPE_CHECKING:
    from cerfevpr_core.live_map import Added


def matches_to_msg(recognition: Recognition, header: Header) -> PlaceMatchArray:
    """All that was found for the image of this header."""
    return PlaceMatchArray(
        header=header,
        decision=int(recognition.decision),
        map_id=recognition.map_id,
        model_fingerprint=recognition.model_fingerprint,
        matches=[_match(candidate, recognition.pose) for candidate in recognition.candidates],
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


def pose_to_stamped_msg(
    pose: PoseEstimate, header: Header, map_frame: str
) -> PoseWithCovarianceStamped:
    """The camera of this header's image in the map."""
    return PoseWithCovarianceStamped(
        header=Header(stamp=header.stamp, frame_id=map_frame), pose=_estimate(pose)
    )


def keyframe_added_to_msg(added: Added, header: Header, map_id: str) -> KeyframeAdded:
    """A keyframe that is new in the map, from the image of this header."""
    keyframe = added.keyframe
    assert keyframe is not None
    msg = KeyframeAdded(
        header=header,
        map_id=map_id,
        keyframe_id=added.keyframe_id,
        external_id=keyframe.external_id,
        traverse=keyframe.traverse,
        has_pose=keyframe.pose is not None,
        has_points=keyframe.has_points,
    )
    if keyframe.pose is not None:
        msg.pose = pose_to_msg(keyframe.pose)
    else:
        msg.pose.orientation.w = 0.0
    return msg


def loop_closure_to_msg(closure: LoopClosure, header: Header) -> LoopClosureMsg:
    """Two keyframes of one place; the header is that of the newer one's image."""
    msg = LoopClosureMsg(
        header=header,
        from_keyframe_id=closure.from_id,
        to_keyframe_id=closure.to_id,
        from_external_id=closure.from_external_id,
        to_external_id=closure.to_external_id,
        similarity=closure.similarity,
        probability=_or_nan(closure.probability),
        num_inliers=closure.num_inliers,
        has_pose=closure.relative_pose is not None,
        scale_known=closure.scale_known,
    )
    if closure.relative_pose is None:  # as where a match has no pose
        msg.relative_pose.pose.orientation.w = 0.0
        return msg
    msg.relative_pose.pose = pose_to_msg(closure.relative_pose)
    if closure.covariance is not None:
        msg.relative_pose.covariance = [float(value) for value in closure.covariance.ravel()]
    return msg


def _estimate(pose: PoseEstimate) -> PoseWithCovariance:
    covariance = [float(value) for value in pose.covariance.ravel()]
    return PoseWithCovariance(pose=pose_to_msg(pose.pose), covariance=covariance)


def _match(candidate: Candidate, pose: PoseEstimate | None) -> PlaceMatch:
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
        inlier_ratio=candidate.inlier_ratio or 0.0,
        regions=_regions(candidate),
        reject_reason=candidate.reject_reason or '',
    )
    if candidate.pose is not None:
        match.keyframe_pose = pose_to_msg(candidate.pose)
    else:  # no rotation has an all-zero quaternion: nobody takes it for a pose
        match.keyframe_pose.orientation.w = 0.0
    if pose is not None and candidate.keyframe_id in pose.keyframe_ids:
        match.has_pose, match.scale_known = True, True
        match.pose_in_map = _estimate(pose)
    else:
        match.pose_in_map.pose.orientation.w = 0.0
    return match


def _regions(candidate: Candidate) -> list[RegionMatch]:
    regions, matches = candidate.regions, candidate.landmark_matches
    if regions is None or matches is None:
        return []
    return [
        RegionMatch(query_box_px=query, map_box_px=keyframe, similarity=float(s), weight=float(w))
        for query, keyframe, s, w in zip(
            regions.query_px,
            regions.keyframe_px,
            matches.similarities,
            matches.weights,
            strict=True,
        )
    ]


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value

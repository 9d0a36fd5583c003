"""What the core found, and how the node is doing, as messages."""

from __future__ import annotations

import math

import numpy as np
import pytest
from messages import START_NS
from processes import INTERFACES

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Pose as PoseMsg
from geometry_msgs.msg import PoseWithCovariance, Quaternion
from std_msgs.msg import Header

from cerfevpr_core.geometry import Pose
from cerfevpr_core.landmarks.similarity import LandmarkMatches
from cerfevpr_core.loop_closure import LoopClosure
from cerfevpr_core.place_map import Candidate
from cerfevpr_core.recognizer import Decision, Recognition
from cerfevpr_core.verification import PoseEstimate
from cerfevpr_core.verification.regions import Regions
from cerfevpr_msgs.msg import PlaceMatchArray
from cerfevpr_ros.conversions import ns_to_stamp, pose_from_msg, stamp_to_ns
from cerfevpr_ros.diagnostics import ServiceRecord, to_msg
from cerfevpr_ros.results import (
    candidates_to_msg,
    loop_closure_to_msg,
    matches_to_msg,
    pose_to_stamped_msg,
)

pytestmark = pytest.mark.ros
HEADER = Header(frame_id='camera')
POSE = Pose((1.0, 2.0, 3.0), (0.0, 0.0, 0.6, 0.8))
BARE = Candidate(7, '000006.jpg', 0.25)
BOXES = np.array([[0, 8, 16, 16], [16, 8, 16, 16]], np.float32)
FULL = Candidate(
    8,
    'b',
    0.5,
    external_id='kf8',
    traverse='morning',
    stamp_ns=START_NS,
    pose=POSE,
    landmark_similarity=0.125,
    landmark_matches=LandmarkMatches(
        0.125, np.array([0, 1]), np.array([3, 2]), np.array([0.5, 0.25]), np.array([1, 0.75]), None
    ),
    regions=Regions(BOXES, BOXES + 32),
    probability=0.75,
    verified=True,
    num_inliers=42,
    inlier_ratio=0.5,
)
COVARIANCE = np.arange(36.0).reshape(6, 6)
FOUND = PoseEstimate(Pose((4.0, 5.0, 6.0), (0.6, 0.0, 0.0, 0.8)), COVARIANCE, 42, (8, 9))


ALL_ZERO = PoseMsg(orientation=Quaternion(w=0.0))


def recognition(
    *candidates: Candidate,
    decision: Decision = Decision.MATCH,
    pose: PoseEstimate | None = None,
) -> Recognition:
    stage_ms = {'describe': 3.5, 'search': 0.25}
    return Recognition(decision, [*candidates], 'map', 'model', stage_ms, pose)


def test_what_is_not_known_of_a_candidate_cannot_be_taken_for_a_value():
    (match,) = matches_to_msg(recognition(BARE), HEADER).matches
    assert match.keyframe_id == 7 and match.similarity == 0.25
    assert math.isnan(match.probability) and math.isnan(match.landmark_similarity)
    assert not match.verified and match.num_inliers == 0 and not match.has_pose
    assert match.external_id == match.traverse == match.reject_reason == ''
    with pytest.raises(Exception, match='quaternion'):
        pose_from_msg(match.keyframe_pose)


def test_everything_known_of_a_candidate_is_in_its_message():
    (match,) = matches_to_msg(recognition(FULL), HEADER).matches
    assert (match.external_id, match.traverse) == ('kf8', 'morning')
    assert stamp_to_ns(match.keyframe_stamp) == START_NS
    assert pose_from_msg(match.keyframe_pose) == POSE
    assert (match.landmark_similarity, match.probability) == (0.125, 0.75)
    assert match.verified and (match.num_inliers, match.inlier_ratio) == (42, 0.5)
    assert match.reject_reason == ''


def test_a_candidate_that_was_refused_says_why():
    refused = Candidate(9, 'c', 0.5, num_inliers=3, inlier_ratio=0.25, reject_reason='3 inliers')
    (match,) = matches_to_msg(recognition(refused), HEADER).matches
    assert not match.verified and (match.num_inliers, match.inlier_ratio) == (3, 0.25)
    assert match.reject_reason == '3 inliers'


def test_the_regions_of_a_candidate_are_its_landmark_matches_in_pixels():
    full, bare = matches_to_msg(recognition(FULL, BARE), HEADER).matches
    assert [list(r.query_box_px) for r in full.regions] == [[0, 8, 16, 16], [16, 8, 16, 16]]
    assert [list(r.map_box_px) for r in full.regions] == [[32, 40, 48, 48], [48, 40, 48, 48]]
    assert [r.similarity for r in full.regions] == [0.5, 0.25]
    assert [r.weight for r in full.regions] == [1, 0.75]
    assert bare.regions == []


def test_a_pose_is_in_the_matches_that_it_stands_on_and_in_no_other():
    full, bare = matches_to_msg(recognition(FULL, BARE, pose=FOUND), HEADER).matches
    assert full.has_pose and full.scale_known
    assert pose_from_msg(full.pose_in_map.pose) == FOUND.pose
    assert list(full.pose_in_map.covariance) == list(range(36))
    without = matches_to_msg(recognition(FULL), HEADER).matches[0]
    for match in (bare, without):
        assert not match.has_pose and not match.scale_known
        assert match.pose_in_map == PoseWithCovariance(pose=ALL_ZERO)


def test_the_pose_by_itself_is_in_the_frame_of_the_map_at_the_time_of_the_image():
    header = Header(stamp=ns_to_stamp(START_NS), frame_id='camera')
    msg = pose_to_stamped_msg(FOUND, header, 'site')
    assert msg.header == Header(stamp=header.stamp, frame_id='site')
    assert pose_from_msg(msg.pose.pose) == FOUND.pose
    assert list(msg.pose.covariance) == list(range(36))


def test_an_answer_without_candidates_is_an_answer():
    msg = matches_to_msg(recognition(decision=Decision.UNKNOWN), HEADER)
    assert msg.decision == PlaceMatchArray.UNKNOWN and msg.matches == []
    assert msg.header == HEADER and (msg.map_id, msg.model_fingerprint) == ('map', 'model')
    assert msg.stages == ['describe', 'search'] and list(msg.stage_ms) == [3.5, 0.25]
    short = candidates_to_msg(recognition(decision=Decision.UNKNOWN), HEADER)
    assert list(short.keyframe_ids) == [] and short.header == HEADER


def test_the_decisions_have_the_numbers_of_the_message():
    assert {d.name: int(d) for d in Decision} == {
        name: getattr(PlaceMatchArray, name) for name in ('UNKNOWN', 'MATCH', 'AMBIGUOUS')
    }


def test_the_short_form_keeps_the_order():
    msg = candidates_to_msg(recognition(FULL, BARE), HEADER)
    assert list(msg.keyframe_ids) == [8, 7]
    assert msg.external_ids == ['kf8', '']
    assert list(msg.similarities) == [0.5, 0.25]


def test_before_the_first_image_the_status_says_that_it_waits():
    (status,) = to_msg('localizer', ServiceRecord(), 0, {'map': '/m'}).status
    assert status.name == 'localizer: place recognition'
    assert (status.level, status.message) == (DiagnosticStatus.OK, 'waiting for images')
    values = {v.key: v.value for v in status.values}
    assert values['map'] == '/m'
    assert values['images received'] == '0' and values['rate (Hz)'] == '-'


def test_the_times_of_the_stages_are_medians():
    record = ServiceRecord()
    for _ in range(4):
        record.received()
    for ms in (10.0, 12.0, 90.0):
        record.answered({'describe': ms, 'search': 1.0})
    values = record.values(num_dropped=1)
    assert values['images answered'] == '3' and values['images dropped for a newer one'] == '1'
    assert values['describe (ms, median)'] == '12.0' and values['search (ms, median)'] == '1.0'
    assert float(values['rate (Hz)']) > 0


def test_poses_are_counted_and_the_last_image_without_one_says_why():
    record = ServiceRecord()
    record.answered({}, has_pose=True)
    record.answered({}, pose_reason='3 inliers, fewer than 20')
    record.answered({}, has_pose=True)
    values = record.values(num_dropped=0)
    assert values['images with a pose'] == '2'
    assert values['last reason for no pose'] == '3 inliers, fewer than 20'


def test_a_camera_of_which_nothing_can_be_read_is_an_error_until_something_can():
    record = ServiceRecord()
    record.received()
    record.rejected('the image is 0 x 0 pixels')
    (status,) = to_msg('localizer', record, 0, {}).status
    assert status.level == DiagnosticStatus.ERROR
    assert status.message == 'no image could be read: the image is 0 x 0 pixels'
    record.answered({'describe': 1.0})
    (status,) = to_msg('localizer', record, 0, {}).status
    assert status.level == DiagnosticStatus.OK
    values = {v.key: v.value for v in status.values}
    assert values['images rejected'] == '1'
    assert values['last rejection'] == 'the image is 0 x 0 pixels'


def test_a_loop_closure_says_what_is_known_of_its_pose():
    metric = LoopClosure(9, 4, 0.5, 42, 'kf9', 'kf4', POSE, True, COVARIANCE, 0.75)
    msg = loop_closure_to_msg(metric, HEADER)
    assert msg.header == HEADER and msg.num_inliers == 42
    assert (msg.from_keyframe_id, msg.to_keyframe_id) == (9, 4)
    assert (msg.from_external_id, msg.to_external_id) == ('kf9', 'kf4')
    assert (msg.similarity, msg.probability) == (0.5, 0.75)
    assert msg.has_pose and msg.scale_known
    assert pose_from_msg(msg.relative_pose.pose) == POSE
    assert msg.relative_pose.covariance.tolist() == COVARIANCE.ravel().tolist()
    direction = loop_closure_to_msg(LoopClosure(9, 4, 0.5, 42, relative_pose=POSE), HEADER)
    assert direction.has_pose and not direction.scale_known
    assert not any(direction.relative_pose.covariance) and math.isnan(direction.probability)
    bare = loop_closure_to_msg(LoopClosure(9, 4, 0.5, 42), HEADER)
    assert not bare.has_pose and bare.relative_pose.pose == ALL_ZERO

"""What the core found, and how the node is doing, as messages."""

from __future__ import annotations

import math

import pytest
from messages import START_NS
from processes import INTERFACES

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import Header

from cerfevpr_core.geometry import Pose
from cerfevpr_core.place_map import Candidate
from cerfevpr_core.recognizer import Decision, Recognition
from cerfevpr_msgs.msg import PlaceMatchArray
from cerfevpr_ros.conversions import pose_from_msg, stamp_to_ns
from cerfevpr_ros.diagnostics import ServiceRecord, to_msg
from cerfevpr_ros.results import candidates_to_msg, matches_to_msg

pytestmark = pytest.mark.ros
HEADER = Header(frame_id='camera')
POSE = Pose((1.0, 2.0, 3.0), (0.0, 0.0, 0.6, 0.8))
BARE = Candidate(7, '000006.jpg', 0.25)
FULL = Candidate(
    8, 'b', 0.5, 'kf8', 'morning', START_NS, POSE, 12.5, 0.75, True, 42, 'too few inliers'
)


def recognition(*candidates: Candidate, decision: Decision = Decision.MATCH) -> Recognition:
    return Recognition(decision, [*candidates], 'map', 'model', {'describe': 3.5, 'search': 0.25})


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
    assert (match.landmark_similarity, match.probability) == (12.5, 0.75)
    assert match.verified and match.num_inliers == 42
    assert match.reject_reason == 'too few inliers'


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
    record.num_received = 4
    for ms in (10.0, 12.0, 90.0):
        record.answered({'describe': ms, 'search': 1.0})
    values = record.values(num_dropped=1)
    assert values['images answered'] == '3' and values['images dropped for a newer one'] == '1'
    assert values['describe (ms, median)'] == '12.0' and values['search (ms, median)'] == '1.0'
    assert float(values['rate (Hz)']) > 0


def test_only_a_camera_of_which_nothing_can_be_read_is_a_warning():
    record = ServiceRecord()
    record.num_received = 1
    record.rejected('the image is 0 x 0 pixels')
    (status,) = to_msg('localizer', record, 0, {}).status
    assert status.level == DiagnosticStatus.WARN
    assert status.message == 'no image could be read: the image is 0 x 0 pixels'
    record.answered({'describe': 1.0})
    (status,) = to_msg('localizer', record, 0, {}).status
    assert status.level == DiagnosticStatus.OK
    values = {v.key: v.value for v in status.values}
    assert values['images rejected'] == '1'
    assert values['last rejection'] == 'the image is 0 x 0 pixels'

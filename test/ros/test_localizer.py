"""A running localizer over DDS: what it answers, refuses, drops, and says of itself."""

from __future__ import annotations

import math
import time

import cv2
import numpy as np
import pytest
from messages import image_msg, number_of
from processes import INTERFACES, wait_until

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.srv import GetParameters, ListParameters, SetParameters
from rclpy.parameter import Parameter, parameter_value_to_python
from sensor_msgs.msg import CompressedImage, Image

from cerfevpr_core.config import Config, running_settings
from cerfevpr_msgs.msg import PlaceMatchArray
from cerfevpr_msgs.srv import Localize
from cerfevpr_ros.conversions import pose_from_msg, stamp_to_ns

pytestmark = [pytest.mark.ros, pytest.mark.slow]


def vga(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (640, 480))


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode('.jpg', image[..., ::-1])[1].tobytes()


class Diagnostics:
    """What the localizer says of itself."""

    def __init__(self, localizer) -> None:
        self.name = f'{localizer.name[1:]}: place recognition'
        self.heard = localizer.client.hears(DiagnosticArray, '/diagnostics')

    def wait_for(self, accept, what: str) -> tuple[DiagnosticStatus, dict[str, str]]:
        """The first status made from now on whose values are accepted."""
        now_ns = time.time_ns()

        def accepted() -> tuple[DiagnosticStatus, dict[str, str]] | None:
            for msg in list(self.heard):
                for status in msg.status:
                    values = {v.key: v.value for v in status.values}
                    new = stamp_to_ns(msg.header.stamp) > now_ns and status.name == self.name
                    if new and accept(values):
                        return status, values
            return None

        return wait_until(accepted, what)

    def at_rest(self) -> dict[str, int]:
        """The counts while no image is in work."""
        return counts(self.wait_for(lambda v: balanced(counts(v)), 'all images are counted')[1])


@pytest.fixture(scope='module')
def diagnostics(localizer):
    return Diagnostics(localizer)


def counts(values: dict[str, str]) -> dict[str, int]:
    names = {
        'received': 'images received',
        'answered': 'images answered',
        'dropped': 'images dropped for a newer one',
        'rejected': 'images rejected',
    }
    return {short: int(values[name]) for short, name in names.items()}


def balanced(now: dict[str, int]) -> bool:
    return now['received'] == now['answered'] + now['dropped'] + now['rejected']


def test_an_image_gets_one_answer_with_everything_that_the_core_found(
    localizer, route, recognizer
):
    image = route.images[5]
    expected = recognizer.recognize(image, 4)
    number = localizer.send(image)
    found = localizer.answer(number)
    assert found.header == image_msg(image, number).header
    assert found.header.frame_id == 'front_camera'
    assert found.decision == PlaceMatchArray.MATCH == expected.decision
    assert found.map_id == expected.map_id
    assert found.model_fingerprint == expected.model_fingerprint
    assert [m.keyframe_id for m in found.matches] == [c.keyframe_id for c in expected.candidates]
    similarities = [m.similarity for m in found.matches]
    np.testing.assert_allclose(
        similarities, [c.similarity for c in expected.candidates], atol=1e-4
    )
    for match, candidate in zip(found.matches, expected.candidates, strict=True):
        assert candidate.pose is not None
        pose = pose_from_msg(match.keyframe_pose)
        np.testing.assert_allclose(pose.position_m, candidate.pose.position_m)
        np.testing.assert_allclose(pose.quaternion, candidate.pose.quaternion)
        assert match.traverse == 'morning'
        assert match.landmark_similarity == pytest.approx(candidate.landmark_similarity, abs=1e-4)
        assert candidate.regions is not None and len(match.regions) == len(candidate.regions) > 0
        assert math.isnan(match.probability)
        assert not match.verified and not match.has_pose and match.reject_reason == ''
    assert found.stages == ['describe', 'search', 'rerank', 'convert']
    assert len(found.stage_ms) == len(found.stages) and all(ms > 0 for ms in found.stage_ms)
    after = localizer.send(image)
    localizer.answer(after)
    assert [number_of(m) for m in localizer.matches].count(number) == 1


def test_the_candidates_are_the_matches_by_their_ids(localizer, route):
    number = localizer.send(route.images[3])
    matches = localizer.answer(number).matches
    short = localizer.candidates.wait_for(lambda m: number_of(m) == number, 'the candidates')
    assert list(short.keyframe_ids) == [m.keyframe_id for m in matches]
    assert list(short.external_ids) == [m.external_id for m in matches]
    assert list(short.similarities) == [m.similarity for m in matches]
    assert short.header.frame_id == 'front_camera'


def test_every_night_image_gets_the_first_keyframe_of_the_core(localizer, route, recognizer):
    for image in route.images:
        found = localizer.answer(localizer.send(image))
        expected = recognizer.recognize(image).candidates[0]
        assert found.matches[0].keyframe_id == expected.keyframe_id


def test_a_compressed_image_is_answered_like_any_other(localizer, route, recognizer):
    localizer.number += 1
    msg = CompressedImage(format='jpeg', data=jpeg(route.images[7]))
    msg.header = image_msg(route.images[7], localizer.number).header
    localizer.compressed.publish(msg)
    found = localizer.answer(localizer.number)
    decoded = cv2.imdecode(np.frombuffer(jpeg(route.images[7]), np.uint8), cv2.IMREAD_COLOR)
    expected = recognizer.recognize(np.ascontiguousarray(decoded[..., ::-1]))
    assert found.matches[0].keyframe_id == expected.candidates[0].keyframe_id
    assert found.header == msg.header


def test_an_image_that_comes_raw_and_compressed_is_served_once(localizer, route, diagnostics):
    before = diagnostics.at_rest()
    twins = []
    for image in route.images[7:9]:
        number = localizer.send(image)
        msg = CompressedImage(format='jpeg', data=jpeg(image))
        msg.header = image_msg(image, number).header
        localizer.answer(number)
        twins.append(msg)
    localizer.compressed.publish(twins[1])
    localizer.answer(localizer.send(route.images[9]))
    localizer.compressed.publish(twins[0])  # however late it comes
    localizer.answer(localizer.send(route.images[10]))
    assert diagnostics.at_rest()['received'] == before['received'] + 4


def test_a_flood_is_answered_by_its_newest_image_and_every_image_is_counted(
    localizer, route, diagnostics
):
    images = [vga(image) for image in route.images]
    before = diagnostics.at_rest()
    first = localizer.number + 1
    for i in range(40):
        last = localizer.send(images[i % len(images)])
    last = localizer.answered_last(last, images[0])
    answered = [n for m in localizer.matches if first <= (n := number_of(m)) <= last]
    num_sent = last - first + 1
    assert 1 <= len(answered) < num_sent
    assert answered == sorted(set(answered)) and answered[-1] == last
    now = diagnostics.at_rest()
    assert now['answered'] == before['answered'] + len(answered)
    assert now['received'] <= before['received'] + num_sent
    assert now['dropped'] > before['dropped'] or now['received'] < before['received'] + num_sent


def raw(**fields) -> Image:
    return Image(
        **{'height': 2, 'width': 2, 'encoding': 'rgb8', 'step': 6, 'data': b'0' * 12, **fields}
    )


BAD = {
    'step': (raw(step=5), 'step is 5 bytes, but a row takes 6'),
    'size': (raw(height=0, width=0, step=0, data=b''), 'the image is 0 x 0 pixels'),
    'depth': (raw(encoding='32FC1', step=8, data=bytes(16)), '32FC1 is depth in metres'),
    'jpeg': (None, 'is cut short or damaged'),
}


@pytest.mark.parametrize('kind', BAD)
def test_a_bad_image_costs_that_image_and_is_counted_with_its_reason(
    kind, localizer, route, diagnostics
):
    msg, reason = BAD[kind]
    rejected = diagnostics.at_rest()['rejected'] + 1
    if msg is None:
        data = jpeg(route.images[0])
        localizer.compressed.publish(CompressedImage(format='jpeg', data=data[: len(data) // 2]))
    else:
        localizer.raw.publish(msg)
    _, values = diagnostics.wait_for(
        lambda v: counts(v)['rejected'] == rejected, 'the bad image is counted'
    )
    assert reason in values['last rejection']
    assert localizer.answer(localizer.send(route.images[1])).matches
    assert 'image rejected' in localizer.process.output


def test_the_diagnostics_name_the_map_and_the_times_of_the_stages(
    localizer, route, recognizer, diagnostics
):
    def well() -> tuple[str, dict[str, str]] | None:
        localizer.answer(localizer.send(route.images[0]))
        status, values = diagnostics.wait_for(lambda v: 'describe (ms, median)' in v, 'a status')
        return (status.message, values) if status.level == DiagnosticStatus.OK else None

    message, values = wait_until(well, 'earlier floods are ten seconds ago')
    assert values['map'] == str(route.place_map)
    assert values['map id'] == recognizer.place_map.manifest.map_id
    assert float(values['describe (ms, median)']) > 0
    assert 'images answered' in message


def test_the_service_answers_with_as_many_candidates_as_asked_for(localizer, route, recognizer):
    service, image = f'{localizer.name}/localize', image_msg(route.images[2], 0)
    for top_k, expected in ((0, 4), (1, 1), (7, 7), (1000, 12)):
        response = localizer.client.call(Localize, service, image=image, top_k=top_k)
        assert response.success and response.message == ''
        assert len(response.result.matches) == expected
        assert response.result.header == image.header
    best = recognizer.recognize(route.images[2]).candidates[0]
    assert response.result.matches[0].keyframe_id == best.keyframe_id


def test_the_service_says_what_is_wrong_and_the_node_lives_on(localizer, route):
    service = f'{localizer.name}/localize'
    response = localizer.client.call(Localize, service, image=raw(step=5))
    assert not response.success
    assert 'step is 5 bytes, but a row takes 6' in response.message
    good = image_msg(route.images[2], 0)
    response = localizer.client.call(Localize, service, image=good, top_k=-1)
    assert not response.success and not response.result.matches
    assert 'top_k is -1, expected 1 or more, or 0 for map.top_k' in response.message
    assert localizer.client.call(Localize, service, image=good).success


def test_every_setting_shows_as_a_parameter_with_the_value_in_use(localizer, route, recognizer):
    client, name = localizer.client, localizer.name
    listed = client.call(ListParameters, f'{name}/list_parameters').result.names
    expected = running_settings(recognizer.config) | {
        'map.path': str(route.place_map),
        'map.top_k': 4,
        'sequence.mode': 'never',
    }
    assert set(running_settings(Config())) <= set(listed)
    response = client.call(GetParameters, f'{name}/get_parameters', names=list(expected))
    for (setting, value), shown in zip(expected.items(), response.values, strict=True):
        found = parameter_value_to_python(shown)
        found = list(found) if isinstance(value, tuple) else found
        assert found == (list(value) if isinstance(value, tuple) else value), setting


def test_a_setting_in_use_is_not_changed_and_the_refusal_names_the_way_out(localizer):
    request = Parameter('map.top_k', value=9).to_parameter_msg()
    service = f'{localizer.name}/set_parameters'
    (result,) = localizer.client.call(SetParameters, service, parameters=[request]).results
    assert not result.successful
    assert f'`ros2 lifecycle set {localizer.name} deactivate` and `cleanup` first' in result.reason

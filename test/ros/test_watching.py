"""A localizer that is watched, over DDS: markers of map and answer, and pictures of answers."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest
import yaml
from messages import number_of
from processes import INTERFACES, REPOSITORY, wait_until

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from sensor_msgs.msg import CompressedImage, Image
from visualization_msgs.msg import Marker, MarkerArray

from cerfevpr_core.pixel_formats import decode_compressed
from cerfevpr_ros.conversions import image_from_msg

pytestmark = [pytest.mark.ros, pytest.mark.slow]


def by_name(msg: MarkerArray) -> dict[str, Marker]:
    return {marker.ns: marker for marker in msg.markers}


@pytest.fixture(scope='module')
def markers(localizer):
    return localizer.client.hears(MarkerArray, f'{localizer.name}/markers')


def test_whoever_begins_to_watch_gets_the_keyframes_of_the_map(markers, recognizer):
    msg = markers.wait_for(lambda m: 'map/morning' in by_name(m), 'the map')
    assert msg.markers[0].action == Marker.DELETEALL
    shown = by_name(msg)['map/morning']
    expected = sorted(c.pose.position_m for c in recognizer.place_map.store.everything())
    np.testing.assert_allclose(sorted((p.x, p.y, p.z) for p in shown.points), expected)
    assert len(by_name(msg)['map/morning/gaze'].points) == 2 * len(expected)
    assert {m.header.frame_id for m in msg.markers} == {'map'}


def test_the_candidates_of_an_answer_are_shown_where_they_stand(
    localizer, route, recognizer, markers
):
    number = localizer.send(route.images[5])
    msg = markers.wait_for(lambda m: number_of(m.markers[0]) == number, 'its markers')
    shown = by_name(msg)['candidates']
    expected = recognizer.recognize(route.images[5], 4).candidates
    np.testing.assert_allclose(
        [(p.x, p.y, p.z) for p in shown.points], [c.pose.position_m for c in expected]
    )
    alphas = [c.a for c in shown.colors]
    assert alphas[0] == max(alphas) > min(alphas) > 0
    assert by_name(msg)['pose'].action == Marker.DELETE  # the map knows no depth


def test_the_map_is_sent_when_it_changes_and_not_with_every_answer(localizer, route, markers):
    before = sum('map/morning' in by_name(m) for m in list(markers))
    for image in route.images[:4]:
        localizer.answer(localizer.send(image))
    assert sum('map/morning' in by_name(m) for m in list(markers)) <= before + 1


def test_an_answer_is_drawn_while_somebody_looks_raw_and_compressed(localizer, route):
    raw = localizer.client.hears(Image, f'{localizer.name}/match_image')
    small = localizer.client.hears(CompressedImage, f'{localizer.name}/match_image/compressed')
    sent: list[int] = []

    def drawn() -> list:
        sent.append(localizer.send(route.images[3]))
        localizer.answer(sent[-1])
        numbers = [{number_of(m) for m in list(heard)} for heard in (raw, small)]
        return sorted(numbers[0] & numbers[1] & set(sent))

    number = wait_until(drawn, 'a picture of both kinds')[0]
    picture = image_from_msg(next(m for m in raw if number_of(m) == number))
    jpeg = next(m for m in small if number_of(m) == number)
    assert jpeg.header.frame_id == 'front_camera'
    difference = picture.astype(float) - decode_compressed(bytes(jpeg.data), jpeg.format)
    assert np.abs(difference).mean() < 5
    assert picture.shape[1] > 700 and picture.std() > 30


TYPES = {
    '/localizer/markers': 'visualization_msgs/msg/MarkerArray',
    '/localizer/match_image': 'sensor_msgs/msg/Image',
    '/localizer/match_image/compressed': 'sensor_msgs/msg/CompressedImage',
    '/localizer/pose': 'geometry_msgs/msg/PoseWithCovarianceStamped',
    '/localizer/place_matches': 'cerfevpr_msgs/msg/PlaceMatchArray',
    '/diagnostics': 'diagnostic_msgs/msg/DiagnosticArray',
    '/camera/image_raw': 'sensor_msgs/msg/Image',
}
DISPLAYS = {
    'MarkerArray': 'visualization_msgs/msg/MarkerArray',
    'PoseWithCovariance': 'geometry_msgs/msg/PoseWithCovarianceStamped',
    'Image': 'sensor_msgs/msg/Image',
}


def test_what_the_viewers_are_set_up_for_is_what_the_node_publishes(localizer):
    """The camera is the only topic that is not the localizer's own."""
    node = localizer.client.node
    found = dict(node.get_topic_names_and_types())
    for topic, kind in TYPES.items():
        if topic.startswith('/camera'):
            continue
        own = topic.replace('/localizer/', f'{localizer.name}/')
        assert found[own] == [kind], topic


def test_rviz_shows_only_topics_that_there_are_as_what_they_are():
    tree = yaml.safe_load((REPOSITORY / 'config' / 'cerfevpr.rviz').read_text())
    manager = tree['Visualization Manager']
    assert manager['Global Options']['Fixed Frame'] == 'map'
    displays = {d['Topic']['Value']: d['Class'] for d in manager['Displays'] if 'Topic' in d}
    assert {'/localizer/markers', '/localizer/match_image', '/localizer/pose'} <= set(displays)
    for topic, name in displays.items():
        package, _, display = name.partition('/')
        assert package == 'rviz_default_plugins'
        assert TYPES[topic] == DISPLAYS[display], topic


def test_foxglove_shows_only_topics_that_there_are_and_fields_that_they_have():
    layout = json.loads((REPOSITORY / 'config' / 'foxglove_layout.json').read_text())
    panels = layout['configById']
    assert panels_of(layout['layout']) == sorted(panels)
    kinds = {name.partition('!')[0] for name in panels}
    assert kinds >= {'Image', '3D', 'Plot', 'StateTransitions', 'DiagnosticStatusPanel'}
    for topic in topics_of(panels):
        assert topic in TYPES, topic
    for path in paths_of(panels):
        topic, _, field = path.partition('.')
        assert topic in TYPES and has_field(TYPES[topic], field), path


def panels_of(node: str | dict) -> list[str]:
    if isinstance(node, str):
        return [node]
    assert node['direction'] in ('row', 'column') and 0 < node['splitPercentage'] < 100
    return sorted(panels_of(node['first']) + panels_of(node['second']))


def topics_of(panels: dict) -> set[str]:
    found = set()
    for panel in panels.values():
        found |= set(panel.get('topics', {})) | {panel.get('topicToRender')}
        found |= {panel.get('imageMode', {}).get('imageTopic')}
    return {topic for topic in found if topic}


def paths_of(panels: dict) -> list[str]:
    return [path['value'] for panel in panels.values() for path in panel.get('paths', ())]


def has_field(kind: str, field: str) -> bool:
    """Whether a message has `a.b[0].c`; only arrays are indexed."""
    message = message_of(kind)
    for part in field.split('.'):
        name = part.partition('[')[0]
        of = message.get_fields_and_field_types()
        if name not in of:
            return False
        inner = of[name].removeprefix('sequence<').partition('>')[0].partition('[')[0]
        if inner == of[name] and '[' in part:
            return False
        if '/' in inner:
            package, _, short = inner.rpartition('/')
            message = message_of(f'{package.partition("/")[0]}/msg/{short}')
    return True


def message_of(kind: str) -> type:
    package, _, name = kind.split('/')
    return getattr(importlib.import_module(f'{package}.msg'), name)

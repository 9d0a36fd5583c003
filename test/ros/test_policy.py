"""The example of a security policy names what the running nodes have, and no node goes without."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from processes import INTERFACES, REPOSITORY

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

pytestmark = [pytest.mark.ros, pytest.mark.slow]

# The policy has the names after remapping, as the launch files do it.
REMAPPED = {
    'image': 'camera/image_raw',
    'image/compressed': 'camera/image_raw/compressed',
    'camera_info': 'camera/camera_info',
    'depth': 'camera/depth',
}


def allowed(node: str, part: str, verb: str) -> set[str]:
    """The names that a node's profile allows, `~` as `NODE/`."""
    tree = ET.parse(REPOSITORY / 'config' / 'sros2_policy.xml')
    (profile,) = tree.findall(f'.//profile[@node="{node}"]')
    return {
        str(name.text).replace('~', f'{node}/')
        for group in profile.findall(part)
        if group.get(verb) == 'ALLOW'
        for name in group
    }


def had(found: list[tuple[str, list[str]]]) -> set[str]:
    """Names without the namespace of the test, as the launch files remap them."""
    plain = {name.removeprefix('/shared/').removeprefix('/') for name, _ in found}
    return {REMAPPED.get(name, name) for name in plain}


def test_everything_that_the_localizer_does_is_allowed_and_its_services_are_all_there(localizer):
    node, there = localizer.client.node, ('localizer', '/shared')
    published = had(node.get_publisher_names_and_types_by_node(*there))
    heard = had(node.get_subscriber_names_and_types_by_node(*there))
    served = had(node.get_service_names_and_types_by_node(*there))
    assert 'localizer/place_matches' in published and 'camera/image_raw' in heard
    assert published <= allowed('localizer', 'topics', 'publish')
    assert heard <= allowed('localizer', 'topics', 'subscribe')
    assert served <= allowed('localizer', 'services', 'reply')


def test_only_the_operator_may_ask_for_what_changes_a_map():
    assert not allowed('localizer', 'services', 'request')
    assert not allowed('mapper', 'services', 'request')
    assert allowed('operator', 'services', 'request') >= {'mapper/load_map', 'mapper/update_poses'}

"""The example of a security policy names what the running nodes have, and no node goes without."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET

import pytest
from driver import Driver
from processes import INTERFACES, REPOSITORY, node, wait_until

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


def require_allowed(client, name: str, namespace: str) -> tuple[set[str], set[str]]:
    """Everything that a running node has must be in its profile. What it says and hears."""
    ours, there = client.node, (name, f'/{namespace}')
    # Its topics may be known before its name is.
    wait_until(lambda: there in ours.get_node_names_and_namespaces(), f'{name} is known by name')

    def names(found: list[tuple[str, list[str]]]) -> set[str]:
        """Without the namespace of the test, as the launch files remap them."""
        plain = {topic.removeprefix(f'/{namespace}/').removeprefix('/') for topic, _ in found}
        return {REMAPPED.get(topic, topic) for topic in plain}

    published = names(ours.get_publisher_names_and_types_by_node(*there))
    heard = names(ours.get_subscriber_names_and_types_by_node(*there))
    served = names(ours.get_service_names_and_types_by_node(*there))
    assert published <= allowed(name, 'topics', 'publish')
    assert heard <= allowed(name, 'topics', 'subscribe')
    assert served <= allowed(name, 'services', 'reply')
    return published, heard


def test_everything_that_the_localizer_does_is_allowed(localizer):
    published, heard = require_allowed(localizer.client, 'localizer', 'shared')
    assert 'localizer/place_matches' in published and 'camera/image_raw' in heard


def test_everything_that_the_mapper_does_is_allowed(client, route, tmp_path):
    from cerfevpr_msgs.msg import KeyframeAdded

    shutil.copytree(route.place_map, tmp_path / 'map')
    parameters = {
        'map.path': str(tmp_path / 'map'),
        'pose_source': 'pose',
        'use_depth': True,
    }
    with node('mapper', tmp_path, 'ruled', parameters) as process:
        driver = Driver(client, 'ruled', process)
        wait_until(driver.images.get_subscription_count, 'the mapper listens')
        client.hears(KeyframeAdded, '/ruled/mapper/keyframes')
        published, heard = require_allowed(client, 'mapper', 'ruled')
    assert 'mapper/keyframes' in published
    assert {'camera/image_raw', 'camera/depth', 'pose'} <= heard


def test_only_the_operator_may_ask_for_what_changes_a_map():
    assert not allowed('localizer', 'services', 'request')
    assert not allowed('mapper', 'services', 'request')
    assert allowed('operator', 'services', 'request') >= {'mapper/load_map', 'mapper/update_poses'}

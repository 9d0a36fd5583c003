"""The localizer's states: how it starts, waits, refuses to start, and ends."""

from __future__ import annotations

import signal

import pytest
from client import Camera
from messages import image_msg, number_of
from processes import (
    ENDS_WITHIN_S,
    INTERFACES,
    QUIET_DOMAIN,
    ends_of,
    node,
    shared_memory_of,
    wait_until,
)

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import ListParameters, SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from cerfevpr_core.config import Config, running_settings
from cerfevpr_msgs.msg import PlaceMatchArray
from cerfevpr_msgs.srv import Localize

pytestmark = [pytest.mark.ros, pytest.mark.slow]

CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE


class Managed:
    """A localizer that a lifecycle manager starts."""

    def __init__(self, client, process, route) -> None:
        self.client, self.process, self.route = client, process, route
        self.name = '/managed/localizer'
        # A change of state cannot be asked for twice. What this client made first the node has
        # found when it responds to what was made last.
        client.client_of(ChangeState, f'{self.name}/change_state')
        self.state()

    def state(self) -> int:
        return self.client.call(GetState, f'{self.name}/get_state').current_state.id

    def change(self, transition: int) -> bool:
        service, request = f'{self.name}/change_state', Transition(id=transition)
        return self.client.call(ChangeState, service, repeat=False, transition=request).success

    def set(self, name: str, value) -> str:
        """Why the setting was refused; empty if it was not."""
        parameters = [Parameter(name, value=value).to_parameter_msg()]
        service = f'{self.name}/set_parameters'
        (result,) = self.client.call(SetParameters, service, parameters=parameters).results
        return '' if result.successful else result.reason or 'refused without a reason'

    def localize(self):
        image = image_msg(self.route.images[0], 0)
        return self.client.call(Localize, f'{self.name}/localize', image=image)


@pytest.fixture(scope='module')
def manager(client, route, tmp_path_factory):
    folder = tmp_path_factory.mktemp('managed')
    with node('localizer', folder, 'managed', {'autostart': False}) as process:
        yield Managed(client, process, route)
        assert process.end(signal.SIGTERM) < ENDS_WITHIN_S
        assert process.child.returncode == 0, process.output


@pytest.fixture
def managed(manager):
    """Before and after each test it is unconfigured."""
    yield manager
    if manager.state() == State.PRIMARY_STATE_ACTIVE:
        manager.change(DEACTIVATE)
    if manager.state() == State.PRIMARY_STATE_INACTIVE:
        manager.change(CLEANUP)
    assert manager.state() == State.PRIMARY_STATE_UNCONFIGURED


def test_without_autostart_it_waits_unconfigured_and_says_so(managed):
    assert managed.state() == State.PRIMARY_STATE_UNCONFIGURED
    response = managed.localize()
    assert not response.success
    assert response.message == 'the localizer is not configured: no map is loaded'
    listed = managed.client.call(ListParameters, f'{managed.name}/list_parameters').result.names
    assert {*running_settings(Config()), 'autostart', 'use_sim_time'} <= set(listed)


def test_it_answers_while_it_is_active_and_only_then(managed, route):
    assert managed.set('map.path', str(route.place_map)) == ''
    assert managed.change(CONFIGURE)
    assert managed.state() == State.PRIMARY_STATE_INACTIVE
    assert managed.localize().success  # the map is loaded: one image can be asked about
    client, answers = managed.client, []
    publisher = client.node.create_publisher(Image, '/managed/image', 10)
    topic = f'{managed.name}/place_matches'
    client.node.create_subscription(PlaceMatchArray, topic, answers.append, 10)
    publisher.publish(image_msg(route.images[0], 1))
    assert publisher.get_subscription_count() == 0
    assert managed.change(ACTIVATE)
    assert managed.state() == State.PRIMARY_STATE_ACTIVE
    camera = Camera(client, 'managed', managed.process)
    camera.number = 1
    camera.warm_up(route.images[0])
    assert managed.change(DEACTIVATE)
    wait_until(lambda: publisher.get_subscription_count() == 0, 'nobody listens')
    unheard = camera.send(route.images[0])
    assert managed.change(ACTIVATE)
    wait_until(publisher.get_subscription_count, 'the localizer listens')
    camera.warm_up(route.images[1])
    numbers = [number_of(msg) for msg in answers]
    assert 1 not in numbers and unheard not in numbers
    assert numbers == sorted(set(numbers)) and numbers[-1] == camera.number


def test_a_setting_is_refused_while_in_use_and_taken_after_cleanup(managed, route):
    assert managed.set('map.path', str(route.place_map)) == ''
    assert managed.set('map.top_k', 3) == ''
    assert managed.change(CONFIGURE)
    assert len(managed.localize().result.matches) == 3
    assert 'settings are read when the node is configured' in managed.set('map.top_k', 2)
    assert managed.change(CLEANUP)
    assert managed.localize().message == 'the localizer is not configured: no map is loaded'
    assert managed.set('map.top_k', 2) == ''
    assert managed.change(CONFIGURE)
    assert len(managed.localize().result.matches) == 2


def test_a_wrong_value_is_refused_when_it_is_set(managed):
    assert 'wrong setting map.top_k = 0: expected' in managed.set('map.top_k', 0)
    assert "wrong setting map.index = 'tree': expected" in managed.set('map.index', 'tree')
    assert managed.set('map.topk', 5) != ''


def test_a_map_that_cannot_be_opened_fails_configure_and_the_node_lives_on(managed, route):
    assert managed.set('map.path', '') == ''
    assert not managed.change(CONFIGURE)
    assert 'no map: set map.path (launch argument map:=DIR)' in managed.process.output
    assert managed.set('map.path', '/nowhere/map') == ''
    assert not managed.change(CONFIGURE)
    assert managed.state() == State.PRIMARY_STATE_UNCONFIGURED
    managed.process.says('no map at /nowhere/map: it does not exist; build one with')
    assert managed.set('map.path', str(route.place_map)) == ''
    assert managed.change(CONFIGURE)
    assert managed.localize().success


REFUSED = {
    'missing': ({'map.path': '/nowhere/map'}, 'no map at /nowhere/map: it does not exist'),
    'unknown': ({'map.path': 'MAP', 'map.topk': 5}, 'map.topk, did you mean map.top_k?'),
    'type': ({'map.path': 'MAP', 'map.top_k': 'five'}, "wrong setting map.top_k = 'five': exp"),
    'model': ({'map.path': 'MAP', 'method': 'grid'}, '(method is grid, the map has cerfevpr)'),
    'own': ({'map.path': 'MAP', 'map_frame': 5}, 'wrong setting map_frame = 5: expected str'),
}


@pytest.fixture(scope='module')
def refusals(ros, route, tmp_path_factory):
    place_map, cases = str(route.place_map), {}
    for name, (given, _) in REFUSED.items():
        cases[name] = {k: place_map if v == 'MAP' else v for k, v in given.items()}
    return ends_of('localizer', tmp_path_factory.mktemp('refused'), cases)


@pytest.mark.parametrize('name', REFUSED)
def test_a_localizer_that_cannot_start_says_why_and_exits_with_1(name, refusals):
    code, output = refusals[name]
    assert REFUSED[name][1] in output
    assert code == 1
    assert 'Traceback' not in output


def test_a_signal_ends_a_busy_localizer_with_code_0(client, route, tmp_path):
    names = {'busy_int': signal.SIGINT, 'busy_term': signal.SIGTERM}
    started = {}
    for name in names:
        started[name] = node('localizer', tmp_path, name, {'map.path': str(route.place_map)})
    for name, number in names.items():
        with started[name] as process:
            camera = Camera(client, name, process)
            camera.warm_up(route.images[0])
            for image in route.images:
                camera.send(image)
            took_s = process.end(number)
            assert process.child.returncode == 0, process.output
            assert 'Traceback' not in process.output and 'could not' not in process.output
            assert took_s < ENDS_WITHIN_S


def test_a_signal_while_the_map_is_loaded_ends_the_start_and_leaves_no_shared_memory(
    ros, route, tmp_path, monkeypatch
):
    monkeypatch.setenv('ROS_DOMAIN_ID', QUIET_DOMAIN)  # what it maps is its own
    with node('localizer', tmp_path, 'early', {'map.path': str(route.place_map)}) as process:
        process.says('cv_bridge')  # between loading and warming up
        segments = shared_memory_of(process)
        assert process.end(signal.SIGTERM) < ENDS_WITHIN_S
        assert process.child.returncode == 0, process.output
        assert 'Traceback' not in process.output
    assert segments and not [s for s in segments if s.exists()]

"""The mapper's states: how it waits, makes its map, refuses to start, and ends."""

from __future__ import annotations

import importlib.util
import signal

import pytest
from driver import Driver, Seen
from messages import image_msg
from processes import ENDS_WITHIN_S, INTERFACES, ends_of, node

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState

from cerfevpr_core.data.drawn_route import DrawnRoute
from cerfevpr_core.live_map import LiveMapper
from cerfevpr_msgs.srv import AddKeyframe, LoadMap, RemoveKeyframe, SaveMap, UpdatePoses

pytestmark = [pytest.mark.ros, pytest.mark.slow]

QUICK = {'method': 'grid', 'verification.mode': 'never'}


@pytest.fixture(scope='module')
def image():
    return DrawnRoute(2, 2).frame(0, 'summer').image


def change(driver, transition: int) -> bool:
    service, request = f'{driver.name}/change_state', Transition(id=transition)
    return driver.client.call(ChangeState, service, repeat=False, transition=request).success


def state(driver) -> int:
    return driver.call(GetState, 'get_state').current_state.id


def test_a_manager_leads_it_through_its_states(client, image, tmp_path):
    parameters = {**QUICK, 'map.path': str(tmp_path / 'map'), 'autostart': False}
    with node('mapper', tmp_path, 'led', parameters) as process:
        driver = Driver(client, 'led', process, listens=False)
        client.client_of(ChangeState, f'{driver.name}/change_state')
        assert state(driver) == State.PRIMARY_STATE_UNCONFIGURED
        asked = {
            'add_keyframe': (AddKeyframe, {'image': image_msg(image, 1)}),
            'remove_keyframe': (RemoveKeyframe, {'keyframe_id': 1}),
            'update_poses': (UpdatePoses, {}),
            'save_map': (SaveMap, {}),
            'load_map': (LoadMap, {'path': 'map'}),
        }
        for service, (kind, fields) in asked.items():
            response = driver.call(kind, service, **fields)
            assert not response.success and 'is not configured: no map' in response.message
        assert not (tmp_path / 'map').exists()
        assert change(driver, Transition.TRANSITION_CONFIGURE)
        assert (tmp_path / 'map' / 'keyframes.sqlite').is_file()
        added = driver.call(AddKeyframe, 'add_keyframe', image=image_msg(image, 1))
        assert added.success and added.keyframe_id == 1  # also while it does not listen
        assert change(driver, Transition.TRANSITION_ACTIVATE)
        listening = Driver(client, 'led', process)
        assert listening.until_added(Seen(image)).keyframe_id == 2
        assert change(driver, Transition.TRANSITION_DEACTIVATE)
        assert change(driver, Transition.TRANSITION_CLEANUP)
        assert state(driver) == State.PRIMARY_STATE_UNCONFIGURED
        assert change(driver, Transition.TRANSITION_CONFIGURE)
        again = driver.call(AddKeyframe, 'add_keyframe', image=image_msg(image, 2))
        assert again.success and again.keyframe_id == 3
        assert process.end(signal.SIGTERM) < ENDS_WITHIN_S
        assert process.child.returncode == 0, process.output
        assert 'Traceback' not in process.output


HAS_TF = importlib.util.find_spec('tf2_ros') is not None
SAYS_OF_TF = 'tf has no eye in base_link' if HAS_TF else 'camera_in_base needs tf2_ros'

REFUSED = {
    'nowhere': ({'map.path': ''}, 'no map: set map.path'),
    'photos': ({'map.path': 'PHOTOS'}, 'holds files but no map'),
    'missing': ({'map.path': '/nowhere/map', 'create_map': False}, 'no map at /nowhere/map'),
    'model': ({'map.path': 'MAP', 'method': 'gem'}, '(method is gem, the map has grid)'),
    'unknown': ({'map.path': 'NEW', 'mapping.min_distance': 5.0}, 'mapping.min_distance, did you'),
    'source': ({'map.path': 'NEW', 'pose_source': 'gps'}, "wrong setting pose_source = 'gps'"),
    'camera': ({'map.path': 'NEW', 'camera_in_base': '1 2 3'}, 'wrong setting camera_in_base'),
    'tf': ({'map.path': 'NEW', 'camera_frame': 'eye'}, SAYS_OF_TF),
    'unit': ({'map.path': 'NEW', 'camera_in_base': [0.0] * 7}, 'wrong setting camera_in_base'),
}


@pytest.fixture(scope='module')
def refusals(ros, tmp_path_factory):
    folder = tmp_path_factory.mktemp('refused')
    (folder / 'photos').mkdir()
    (folder / 'photos' / 'cat.jpg').touch()
    LiveMapper.load(folder / 'map', overrides=QUICK).close()
    paths = {name.upper(): str(folder / name) for name in ('photos', 'map', 'new')}
    cases = {}
    for name, (given, _) in REFUSED.items():
        cases[name] = {k: paths.get(v, v) if isinstance(v, str) else v for k, v in given.items()}
    return folder, ends_of('mapper', folder, cases)


@pytest.mark.parametrize('name', REFUSED)
def test_a_mapper_that_cannot_start_says_why_and_exits_with_1(name, refusals):
    folder, ends = refusals
    code, output = ends[name]
    assert REFUSED[name][1] in output
    assert code == 1
    assert 'Traceback' not in output
    assert not (folder / 'new').exists()

"""A localizer whose map is saved, replaced, and written by a mapper while it answers."""

from __future__ import annotations

import contextlib
import math
import time

import pytest
from client import Camera
from driver import Driver, Seen
from messages import image_msg
from processes import INTERFACES, TimedOut, node, wait_until

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from visualization_msgs.msg import MarkerArray

from cerfevpr_core.calibration.model import Calibration, Logistic
from cerfevpr_core.calibration.same_place import SamePlace
from cerfevpr_core.data.drawn_route import DEFAULT_CAMERA, DrawnRoute
from cerfevpr_core.keyframe_maker import Shot
from cerfevpr_core.live_map import LiveMapper
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.place_map.store import KeyframeStore
from cerfevpr_msgs.srv import LoadMap, Localize, SaveMap

pytestmark = [pytest.mark.ros, pytest.mark.slow]

QUICK = {'method': 'grid', 'verification.mode': 'never'}
NUM_PLACES = 8
WITHIN_S = 2.0  # from the news of a keyframe to an answer with it; 1 s and a busy machine


@pytest.fixture(scope='module')
def street() -> list[Seen]:
    route = DrawnRoute(2, NUM_PLACES)
    frames = [route.frame(number, 'summer') for number in range(NUM_PLACES)]
    return [Seen(f.image, f.pose) for f in frames]


def make_map(folder, seen: list[Seen], first: int = 0):
    mapper = LiveMapper.load(folder, overrides=QUICK)
    for number, each in enumerate(seen):
        shot, parity = Shot(each.image, first + number, each.pose), ('even', 'odd')[number % 2]
        mapper.add(shot, parity, f'{first + number}')
    map_id = mapper.place_map.manifest.map_id
    mapper.close()
    return map_id


@pytest.fixture(scope='module')
def running(client, street, tmp_path_factory):
    """A localizer in the map `a`, beside which `b` and `broken` lie."""
    root = tmp_path_factory.mktemp('maps')
    ids = {'a': make_map(root / 'a', street[:4]), 'b': make_map(root / 'b', street[4:], 4)}
    (root / 'broken').mkdir()
    (root / 'broken' / 'keyframes.sqlite').write_bytes(b'no database' * 100)
    LiveMapper.load(root / 'foreign', overrides=QUICK | {'method': 'gem'}).close()
    with node('localizer', root, 'swaps', {'map.path': str(root / 'a')}) as process:
        camera = Camera(client, 'swaps', process)
        camera.warm_up(street[0].image)
        yield camera, root, ids


def load(camera, path: str):
    service = f'{camera.name}/load_map'
    return camera.client.call(LoadMap, service, repeat=False, path=path)


def test_another_map_is_used_from_the_moment_it_is_loaded(running, street):
    camera, root, ids = running
    assert camera.answer(camera.send(street[2].image)).matches[0].external_id == '2'
    loaded = load(camera, str(root / 'b'))
    assert loaded.success and loaded.map_id == ids['b'], loaded.message
    answer = camera.answer(camera.send(street[6].image))
    assert (answer.map_id, answer.matches[0].external_id) == (ids['b'], '6')
    assert load(camera, 'a').success
    assert camera.answer(camera.send(street[2].image)).map_id == ids['a']


def test_the_traverses_that_are_searched_may_change_while_it_runs(running, street):
    camera, _, _ = running

    def choose(*names: str) -> str:
        parameters = [Parameter('map.traverses', value=list(names)).to_parameter_msg()]
        service = f'{camera.name}/set_parameters'
        (result,) = camera.client.call(SetParameters, service, parameters=parameters).results
        return '' if result.successful else result.reason

    assert choose('even') == ''
    found = camera.answer(camera.send(street[1].image)).matches
    assert {m.traverse for m in found} == {'even'} and len(found) == 2
    assert choose('odd') == ''
    assert camera.answer(camera.send(street[1].image)).matches[0].external_id == '1'
    assert 'even' in choose('night')  # refused, naming those that there are
    assert choose('even', 'odd') == ''
    assert len(camera.answer(camera.send(street[1].image)).matches) == 4


def test_a_traverse_that_vanishes_is_told_and_the_others_answer(client, street, tmp_path):
    make_map(tmp_path / 'map', street[:4])
    parameters = {'map.path': str(tmp_path / 'map'), 'map.traverses': ['even', 'odd']}
    with node('localizer', tmp_path, 'fewer', parameters) as process:
        camera = Camera(client, 'fewer', process)
        camera.warm_up(street[0].image)
        with PlaceMap.open(tmp_path / 'map') as place_map:
            place_map.remove([place_map.find('1'), place_map.find('3')])
            found = camera.answer(camera.send(street[1].image)).matches
            assert {m.traverse for m in found} == {'even'} and len(found) == 2
            process.says("no keyframe of the traverse 'odd' any more")
            place_map.remove([place_map.find('0'), place_map.find('2')])
            assert not camera.answer(camera.send(street[1].image)).matches


def test_a_map_that_is_calibrated_meanwhile_answers_with_probabilities(client, street, tmp_path):
    make_map(tmp_path / 'map', street[:4])
    with node('localizer', tmp_path, 'surer', {'map.path': str(tmp_path / 'map')}) as process:
        camera = Camera(client, 'surer', process)
        heard = client.hears(DiagnosticArray, '/diagnostics')

        def told() -> str:
            found = [s for m in list(heard) for s in m.status if s.name.startswith('surer/')]
            values = {v.key: v.value for v in found[-1].values} if found else {}
            return values.get('calibration of probabilities', '')

        camera.warm_up(street[0].image)
        assert math.isnan(camera.answer(camera.send(street[1].image)).matches[0].probability)
        wait_until(lambda: told() == 'none', 'the diagnostics know of no calibration')
        model = Logistic(('similarity',), (0.0,), (1.0,), (0.0,), 0.0, 0.97, 0.97)
        with PlaceMap.open(tmp_path / 'map') as place_map:
            place_map.set_calibration(Calibration(SamePlace(), (model,), 100).to_bytes())
        answer = camera.answer(camera.send(street[1].image))
        assert answer.matches[0].probability == pytest.approx(0.97)
        wait_until(lambda: told() == 'of the map as it is', 'the diagnostics know of it')


@pytest.mark.parametrize('path', ['broken', 'nothing', '/etc', '../x', '', 'x' * 10_000_000])
def test_a_map_that_cannot_be_loaded_leaves_the_old_one_in_use(running, street, path):
    camera, _, ids = running
    refused = load(camera, path)
    assert not refused.success and 0 < len(refused.message) <= 1000
    assert 'internal error' not in refused.message
    answer = camera.answer(camera.send(street[1].image))
    assert (answer.map_id, answer.matches[0].external_id) == (ids['a'], '1')


def test_images_are_answered_while_maps_are_swapped(running, street):
    camera, _, ids = running
    futures = [
        camera.client.client_of(LoadMap, f'{camera.name}/load_map').call_async(
            LoadMap.Request(path=name)
        )
        for name in ('b', 'a', 'b', 'a')
    ]
    numbers = []
    while not all(f.done() for f in futures):
        numbers.append(camera.send(street[2].image))
        with contextlib.suppress(TimedOut):
            camera.matches.wait_for(lambda m: True, '')
        time.sleep(0.05)
    assert all(f.result().success for f in futures)
    assert camera.answer(camera.send(street[2].image)).map_id == ids['a']
    answers = {m.map_id for m in camera.matches}
    assert answers <= set(ids.values())
    assert 'internal' not in camera.process.output and 'Traceback' not in camera.process.output


def test_a_copy_is_saved_below_the_root_alone(running):
    camera, root, _ = running
    service = f'{camera.name}/save_map'
    saved = camera.client.call(SaveMap, service, repeat=False, path='copy')
    assert saved.success, saved.message
    store = KeyframeStore.open(root / 'copy')
    assert len(store) == 4
    store.close()
    for path in ('copy', '/tmp/elsewhere', '..'):
        assert not camera.client.call(SaveMap, service, path=path).success


def test_a_localizer_answers_with_keyframes_that_a_mapper_adds_beside_it(client, street, tmp_path):
    mapping = {
        **QUICK,
        'map.path': str(tmp_path / 'map'),
        'pose_source': 'pose',
        'mapping.min_distance_m': 0.2,
    }
    with node('mapper', tmp_path, 'both', mapping) as mapper:
        driver = Driver(client, 'both', mapper)
        first = driver.until_added(street[0], DEFAULT_CAMERA)
        localizing = {'map.path': str(tmp_path / 'map')}
        with node('localizer', tmp_path, 'other', localizing) as process:
            camera = Camera(client, 'other', process)
            camera.warm_up(street[0].image)
            answer = camera.answer(camera.send(street[0].image))
            assert answer.matches[0].keyframe_id == first.keyframe_id
            for seen in street[1:]:
                added = driver.until_added(seen, DEFAULT_CAMERA)
                since_s = time.monotonic()
                found = camera.answer(camera.send(seen.image))
                assert found.matches[0].keyframe_id == added.keyframe_id
                assert found.map_id == added.map_id
                assert time.monotonic() - since_s < WITHIN_S
            asked = client.call(
                Localize, f'{camera.name}/localize', image=image_msg(street[3].image, 1)
            )
            assert asked.success and asked.result.matches[0].similarity > 0.99


def test_a_map_that_is_removed_is_told_and_another_one_goes_on(client, street, tmp_path):
    for name in ('a', 'b'):
        make_map(tmp_path / 'maps' / name, street[:4])
    with node(
        'localizer', tmp_path, 'gone', {'map.path': str(tmp_path / 'maps' / 'a')}
    ) as process:
        camera = Camera(client, 'gone', process)
        heard = client.hears(DiagnosticArray, '/diagnostics')
        client.hears(MarkerArray, f'{camera.name}/markers')  # the map is drawn too
        camera.warm_up(street[0].image)
        (tmp_path / 'maps' / 'a').rename(tmp_path / 'away')

        def told() -> str:
            found = [s for m in list(heard) for s in m.status if s.name.startswith('gone/')]
            return found[-1].message if found and found[-1].level == DiagnosticStatus.ERROR else ''

        assert 'was removed or moved' in wait_until(told, 'an error in the diagnostics')
        asked = client.call(
            Localize, f'{camera.name}/localize', image=image_msg(street[0].image, 1)
        )
        assert not asked.success and 'was removed or moved' in asked.message
        process.says('no markers: the map at')
        loaded = load(camera, 'b')
        assert loaded.success, loaded.message
        assert camera.answer(camera.send(street[2].image)).map_id == loaded.map_id
        wait_until(lambda: not told(), 'the diagnostics are well again')
        assert 'Traceback' not in process.output

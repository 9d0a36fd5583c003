"""`make run`: from folders or a bag to a result and a report, and how it ends."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from pathlib import Path

import pytest
from messages import write_bag
from processes import INTERFACES, Process, processes_with, wait_until

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

from cerfevpr_ros.run.__main__ import main

pytestmark = [pytest.mark.ros, pytest.mark.slow]

NUM_IMAGES = 8
CONTRACT = {
    'images',
    'answered',
    'dropped',
    'recall_at_1',
    'latency_ms_p50',
    'latency_ms_p95',
    'core_ms_p50',
}


@pytest.fixture
def run_here(ros):
    """`main` in this process, which saves the imports; the nodes are processes all the same."""
    handler = signal.getsignal(signal.SIGTERM)
    yield lambda *arguments: main([str(argument) for argument in arguments])
    signal.signal(signal.SIGTERM, handler)


def start(*arguments: object, log: Path) -> Process:
    return Process([sys.executable, '-m', 'cerfevpr_ros.run', *map(str, arguments)], log)


def some_of(folder: Path, out: Path) -> Path:
    out.mkdir()
    for file in sorted(folder.glob('*.jpg'))[:NUM_IMAGES]:
        shutil.copy(file, out)
    return out


@pytest.fixture(scope='module')
def folders(route, tmp_path_factory) -> list[object]:
    """The arguments for two small folders: by day for the map, by night for the queries."""
    folder = tmp_path_factory.mktemp('folders')
    day, night = some_of(route.day, folder / 'day'), some_of(route.night, folder / 'night')
    return ['--map-images', day, '--query-images', night]


@pytest.fixture(scope='module')
def finished(ros, folders, tmp_path_factory):
    """One whole run, as a user sees it: its output and the folder it wrote."""
    out = tmp_path_factory.mktemp('finished') / 'run'
    arguments = [*folders, '--frame-tolerance', 1, '--out', out]
    with start(*arguments, log=out.with_name('output.log')) as process:
        assert process.code() == 0, process.output
        return process.output, out


def result_of(out: Path) -> dict:
    return json.loads((out / 'result.json').read_text())


def test_a_run_answers_every_image_as_the_core_does(finished):
    output, out = finished
    result = result_of(out)
    assert set(result) >= CONTRACT
    assert result['images'] == result['answered'] == result['agrees_with_core'] == NUM_IMAGES
    assert result['dropped'] == 0
    assert 0 <= result['recall_at_1'] <= 100
    assert 0 < result['core_ms_p50'] < result['latency_ms_p50'] <= result['latency_ms_p95']
    assert f'{NUM_IMAGES} of {NUM_IMAGES} images answered' in output
    assert '000003.jpg ->' in output and 'right' in output
    assert f'report  {out}/report.html' in output
    assert '<html' in (out / 'report.html').read_text()[:200]
    assert not processes_with(str(out))


def test_a_second_run_reuses_the_map_and_counts_an_unreadable_image_as_wrong(
    finished, folders, run_here, tmp_path
):
    _, out = finished
    queries = shutil.copytree(folders[3], tmp_path / 'queries')
    bad = queries / '000002.jpg'
    bad.write_bytes(bad.read_bytes()[:3000])
    (before,) = out.rglob('keyframes.sqlite')
    made_ns = before.stat().st_mtime_ns
    arguments = [*folders[:3], queries, '--frame-tolerance', 100, '--out', out]
    assert run_here(*arguments) == 0
    (after,) = out.rglob('keyframes.sqlite')
    assert after == before and after.stat().st_mtime_ns == made_ns
    result = result_of(out)
    assert (result['images'], result['answered'], result['dropped']) == (8, 7, 1)
    assert result['recall_at_1'] == 100 * 7 / 8  # everything is within 100 frames
    assert result['agrees_with_core'] == 7


def test_a_bag_alone_is_map_and_queries_and_without_a_tolerance_nothing_is_right_or_wrong(
    route, run_here, tmp_path
):
    bag, out = write_bag(tmp_path / 'bag', route.images[:NUM_IMAGES], 'mcap'), tmp_path / 'run'
    assert run_here('--bag', bag, '--out', out) == 0
    result = result_of(out)
    assert result['images'] == result['answered'] == result['agrees_with_core'] == 4
    assert result['recall_at_1'] is None
    assert (out / 'report.html').is_file()


WRONG = {
    'missing': (['--map-images', '/nowhere', '--query-images', 'DAY'], 'no folder /nowhere'),
    'one': (['--map-images', 'DAY'], 'give both MAP_IMAGES=DIR'),
    'other': (['--query-images', 'DAY'], 'give both MAP_IMAGES=DIR'),
    'both': (['--query-images', 'DAY', '--bag', 'x'], 'give QUERY_IMAGES or BAG, not both'),
    'no_bag': (['--bag', '/nowhere/bag'], '/nowhere/bag does not exist'),
    'tolerance': (
        ['--map-images', 'DAY', '--query-images', 'DAY', '--frame-tolerance', '-1'],
        'FRAME_TOLERANCE=-1: expected 0 or more',
    ),
    'setting': (
        ['--map-images', 'DAY', '--query-images', 'DAY', '--set', 'map.topk=2'],
        'unknown setting map.topk, did you mean map.top_k?',
    ),
}


@pytest.mark.parametrize('kind', WRONG)
def test_a_user_s_error_is_one_line_and_exit_code_2(kind, run_here, route, tmp_path, capfd):
    arguments, message = WRONG[kind]
    given = [str(route.day) if argument == 'DAY' else argument for argument in arguments]
    assert run_here(*given, '--out', tmp_path / 'run') == 2
    printed = capfd.readouterr()
    assert printed.err.startswith('error: ') and message in printed.err
    assert 'Traceback' not in printed.err + printed.out


def test_a_run_that_fails_leaves_no_result_of_an_earlier_one(run_here, tmp_path):
    for name in ('result.json', 'report.html', 'matches.png'):
        (tmp_path / name).write_text('of yesterday')
    assert run_here('--bag', '/nowhere', '--out', tmp_path) == 2
    assert list(tmp_path.iterdir()) == []


def test_images_without_a_number_are_refused_where_a_tolerance_needs_it(
    route, run_here, tmp_path, capfd
):
    queries = tmp_path / 'queries'
    queries.mkdir()
    shutil.copy(route.night / '000000.jpg', queries / 'church.jpg')
    folders = ['--map-images', route.day, '--query-images', queries]
    assert run_here(*folders, '--frame-tolerance', 1, '--out', tmp_path / 'run') == 2
    assert 'church.jpg has no number in its name' in capfd.readouterr().err
    assert not processes_with(str(tmp_path))


@pytest.fixture
def long_run(ros, folders, tmp_path):
    """Starts a run that takes a while, in a folder of its own; returns process and folder."""
    queries = tmp_path / 'queries'
    queries.mkdir()
    for i in range(200):
        source = Path(folders[3]) / f'{i % NUM_IMAGES:06d}.jpg'
        (queries / f'{i:06d}.jpg').hardlink_to(source)

    def begin(name: str) -> tuple[Process, Path]:
        out = tmp_path / name
        arguments = [*folders[:3], queries, '--frame-tolerance', 1, '--out', out]
        return start(*arguments, log=tmp_path / f'{name}.log'), out

    return begin


def wait_for_nodes(process: Process, out: Path, moment: str) -> None:
    process.says(moment)
    for name in ('localizer.yaml', 'replay.yaml'):
        wait_until(lambda: processes_with(str(out / name)), f'{name} is in use')  # noqa: B023


def test_a_run_that_ends_while_it_calibrates_leaves_no_map_that_the_next_one_takes(long_run):
    process, out = long_run('calibrating')
    with process:
        wait_until(lambda: list(out.glob('maps/*/index.faiss')), 'the map is built')
        process.end(signal.SIGKILL)
    assert all(folder.name.endswith('.cerfevpr-partial') for folder in (out / 'maps').iterdir())


def test_ctrl_c_in_the_middle_of_a_run_ends_the_nodes(long_run):
    process, out = long_run('run')
    with process:
        wait_for_nodes(process, out, '000000.jpg ->')
        process.end(signal.SIGINT)
        assert process.child.returncode == 130, process.output
        assert 'interrupted; the nodes are stopped' in process.output
        assert 'Traceback' not in process.output
        assert not processes_with(str(out))
    assert not (out / 'result.json').exists()


def test_a_run_that_is_told_to_end_or_killed_leaves_no_node(long_run):
    (told, out_of_told), (killed, out_of_killed) = long_run('told'), long_run('killed')
    with told, killed:
        wait_for_nodes(told, out_of_told, 'starting the nodes')
        told.end(signal.SIGTERM)
        assert told.child.returncode == 130, told.output
        assert not processes_with(str(out_of_told))
        wait_for_nodes(killed, out_of_killed, 'starting the nodes')
        killed.end(signal.SIGKILL)
        # Nobody is left to end its nodes: the kernel does.
        wait_until(lambda: not processes_with(str(out_of_killed)), 'the nodes are gone', 20)

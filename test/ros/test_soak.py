"""The short form of `make soak`: every phase once, and what it says of it."""

from __future__ import annotations

import json
import sys

import pytest
from processes import INTERFACES, Process

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope='module')
def soaked(ros, route, tmp_path_factory):
    folder = tmp_path_factory.mktemp('soak')
    command = [
        sys.executable,
        '-m',
        'cerfevpr_ros.soak',
        '--minutes',
        '0.3',
        '--kills',
        '2',
        '--writer-kills',
        '5',
    ]
    command += ['--map', str(route.place_map), '--images', str(route.night), '--out', str(folder)]
    with Process(command, folder / 'output.log') as process:
        code = process.code()
        yield code, json.loads((folder / 'soak.json').read_text()), process.output


def test_a_short_soak_passes_and_says_what_it_did(soaked):
    code, result, output = soaked
    assert code == 0 and result['passed'], output
    assert result['num_failures'] == 0 and result['failures'] == []
    assert 'cycles in' in output


def test_a_flood_is_answered_newest_first_in_about_one_images_time(soaked):
    _, result, _ = soaked
    flood, steady = result['phases']['flood'], result['phases']['steady']
    assert flood['sent'] > 3 * flood['answered'] > 0
    assert flood.get('answered after a newer one', 0) == 0
    assert flood['latency_ms_p50'] < 4 * steady['latency_ms_p50']


def test_every_hostile_call_and_bad_image_was_tried_and_refused(soaked):
    _, result, _ = soaked
    assert result['phases']['hostile calls']['hostile calls'] >= 150
    bad = result['phases']['bad images']
    assert bad['bad images rejected'] == bad['bad images sent'] >= 10


def test_a_recording_that_starts_anew_is_answered_again(soaked):
    _, result, _ = soaked
    assert 'repeated stamp without an answer' not in result['phases']['stamps']


def test_memory_threads_and_files_were_watched(soaked):
    _, result, _ = soaked
    for node in ('localizer', 'mapper'):
        watched = result['growth'][node]
        assert watched['rss_bytes']['most'] > 100 * 2**20
        assert watched['num_threads']['most'] >= 3 and watched['num_files']['most'] >= 10


def test_a_robot_mapped_a_slam_system_moved_and_all_was_removed_again(soaked):
    _, result, _ = soaked
    mapping, removals = result['phases']['mapping'], result['phases']['removals']
    assert mapping['keyframes added'] >= 3 and mapping['update_poses'] == 1
    assert removals['remove_keyframe'] >= mapping['keyframes added']


def test_a_mapper_that_was_killed_had_told_of_keyframes_and_lost_none(soaked):
    _, result, _ = soaked
    assert result['killed']['the mapper']['kills'] == 2
    assert result['killed']['the mapper']['keyframes told'] >= 2
    assert result['killed']['writers']['kills'] == 5


def test_a_full_disk_costs_the_keyframes_that_found_no_room_and_no_more(soaked):
    _, result, _ = soaked
    found = result['phases']['disk full']
    assert found['refused for want of room'] == 3 and found['added with room again'] == 1

"""The short form of `make soak`: every phase once, and what it says of it."""

from __future__ import annotations

import json
import sys

import pytest
from processes import INTERFACES, Process

pytest.importorskip('rclpy', reason='needs ROS 2 (rclpy)')
pytest.importorskip(INTERFACES, reason='needs the built interfaces (`make setup`)')

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture(scope='module')
def soaked(ros, route, tmp_path_factory):
    folder = tmp_path_factory.mktemp('soak')
    command = [sys.executable, '-m', 'cerfevpr_ros.soak', '--minutes', '0.4']
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
    assert flood['latency_ms_p50'] < 3 * steady['latency_ms_p50']


def test_every_hostile_call_and_bad_image_was_tried_and_refused(soaked):
    _, result, _ = soaked
    assert result['phases']['hostile calls']['hostile calls'] >= 20
    bad = result['phases']['bad images']
    assert bad['bad images rejected'] == bad['bad images sent'] >= 10


def test_a_recording_that_starts_anew_is_answered_again(soaked):
    _, result, _ = soaked
    assert 'repeated stamp without an answer' not in result['phases']['stamps']


def test_memory_threads_and_files_were_watched(soaked):
    _, result, _ = soaked
    watched = result['growth']['localizer']
    assert watched['rss_bytes']['most'] > 100 * 2**20
    assert watched['num_threads']['most'] >= 3 and watched['num_files']['most'] >= 10

"""What the soak says of growth: of numbers known in advance, and of a process that leaks."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cerfevpr_ros.soak.growth import growth
from cerfevpr_ros.soak.watch import Watch, look_at

MIB = 2**20
AT_S = np.arange(0, 3600, 2.0)
CYCLES_S = [(begin, begin + 60.0) for begin in np.arange(0, 3600, 60.0)]


@settings(deadline=None)
@given(st.floats(-100, 100), st.integers(0, 2**32 - 1))
def test_a_straight_line_is_found_again_below_its_noise(slope, seed):
    noise = np.random.default_rng(seed).normal(0, 3, len(AT_S))
    found = growth(AT_S, 1000 + slope * AT_S / 3600 + noise, CYCLES_S, 600)
    assert found is not None and found.num_cycles == 50
    assert found.per_hour == pytest.approx(slope, abs=4 * found.error + 1e-6)
    assert 0 < found.error < 1.5


def test_what_is_done_within_a_cycle_is_no_growth():
    sawtooth = 1000 + AT_S % 60  # each cycle loads more and lets it go
    found = growth(AT_S, sawtooth, CYCLES_S, 0)
    assert found is not None and found.per_hour == pytest.approx(0, abs=1e-6)


def test_the_warm_up_does_not_count():
    filled = np.minimum(AT_S, 600)  # caches are full after ten minutes
    found = growth(AT_S, filled, CYCLES_S, 600)
    assert found is not None and found.per_hour == pytest.approx(0, abs=1e-6)
    assert found.verdict(1) == 'flat'


def test_a_verdict_needs_the_whole_interval_on_one_side():
    noise = np.random.default_rng(0).normal(0, 30, len(AT_S))
    for slope, bound, expected in ((90, 20, 'grows'), (2, 40, 'flat'), (10, 11, 'undecided')):
        found = growth(AT_S, slope * AT_S / 3600 + noise, CYCLES_S, 0)
        assert found is not None and found.verdict(bound) == expected, (slope, found)


def test_too_few_cycles_say_nothing():
    assert growth(AT_S, AT_S, CYCLES_S[:3], 0) is None
    assert growth([], [], CYCLES_S, 0) is None


LEAKING = """
import time
kept = []
while True:
    kept.append(bytearray(b'x' * 2**20))
    time.sleep(0.05)
"""


def test_a_process_that_leaks_is_found():
    with subprocess.Popen([sys.executable, '-c', LEAKING]) as process:
        with Watch({'leaking': process.pid}, every_s=0.05) as watch:
            time.sleep(3)
        process.kill()
    samples = watch.samples['leaking']
    cycles = [(begin, begin + 0.3) for begin in np.arange(0.5, 2.7, 0.3)]
    found = growth([s.at_s for s in samples], [s.rss_bytes for s in samples], cycles, 0)
    assert found is not None and found.verdict(32 * MIB) == 'grows'


def test_a_look_counts_threads_and_files(tmp_path):
    before = look_at(_own_pid())
    with (tmp_path / 'a').open('w'), (tmp_path / 'b').open('w'):
        during = look_at(_own_pid())
    assert during.num_files == before.num_files + 2
    assert during.num_threads == before.num_threads >= 1
    assert during.rss_bytes > MIB


def _own_pid() -> int:
    import os

    return os.getpid()

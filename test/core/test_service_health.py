"""When an operator is warned, and of what."""

from __future__ import annotations

import pytest

from cerfevpr_core.service_health import Level, Reasons, RecentEvents


def events(*kinds: str, start_s: float = 100.0, step_s: float = 0.1) -> RecentEvents:
    found = RecentEvents(start_s)
    for number, kind in enumerate(kinds):
        found.add(kind, start_s + number * step_s)
    return found


def test_waiting_for_the_first_image_is_a_warning_after_five_seconds():
    waiting = events()
    assert waiting.health(104.0, '').level == Level.OK
    assert waiting.health(106.0, '').level == Level.WARN
    assert waiting.health(106.0, '').message == 'waiting for images'


def test_a_camera_that_stopped_is_an_error_and_is_none_when_it_goes_on():
    stopped = events('received', 'answered')
    assert stopped.health(104.0, '').level == Level.OK
    health = stopped.health(112.0, '')
    assert (health.level, health.message) == (Level.ERROR, 'no image for 12 s')
    stopped.add('received', 112.5)
    stopped.add('answered', 112.6)
    assert stopped.health(113.0, '').level == Level.OK


def test_when_nothing_can_be_read_it_is_an_error_that_says_why():
    health = events('received', 'rejected').health(101.0, 'step is 5 bytes')
    assert (health.level, health.message) == (
        Level.ERROR,
        'no image could be read: step is 5 bytes',
    )


def test_when_most_but_not_all_are_rejected_it_is_a_warning():
    kinds = ('received', 'rejected', 'received', 'rejected', 'received', 'answered')
    health = events(*kinds).health(101.0, 'half a jpeg')
    assert (health.level, health.message) == (Level.WARN, 'most images are rejected: half a jpeg')


def test_when_most_are_dropped_it_is_a_warning_with_the_share():
    health = events(*['received'] * 10, 'answered').health(101.5, '')
    assert (health.level, health.message) == (
        Level.WARN,
        '90 % of the images are dropped for newer ones',
    )
    assert events(*['received'] * 10, *['answered'] * 5).health(102.0, '').level == Level.OK


def test_what_was_long_ago_counts_no_more():
    recent = events('received', 'rejected')
    recent.add('received', 120.0)
    recent.add('answered', 120.1)
    assert recent.health(121.0, 'old').level == Level.OK
    assert recent.rate_hz('received', 121.0) == pytest.approx(0.1)


def test_reasons_that_differ_in_numbers_alone_are_one():
    reasons = Reasons()
    for text in ('found 7 bytes of 12', 'found 9 bytes of 12', 'no jpeg'):
        reasons.add(text)
    assert reasons.counts == {'found # bytes of #': 2, 'no jpeg': 1}


def test_endless_kinds_of_reasons_are_counted_together():
    reasons = Reasons()
    for letter in 'abcdefghijklmnop':
        reasons.add(letter)
    assert len(reasons.counts) == 11 and reasons.counts['other reasons'] == 6

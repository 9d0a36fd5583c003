"""A map that another program calibrates while it is in use."""

from __future__ import annotations

import logging

import pytest
from samples import keyframes, picture, unit_vectors

from cerfevpr_core.calibration.model import Calibration, Logistic
from cerfevpr_core.calibration.same_place import SamePlace
from cerfevpr_core.place_map import PlaceMap
from cerfevpr_core.recognizer import Decision, PlaceRecognizer


def certain(of_match: float) -> bytes:
    """A calibration by which every first candidate is right with one probability."""
    model = Logistic(('similarity',), (0.0,), (1.0,), (0.0,), 0.0, of_match, of_match)
    return Calibration(SamePlace(), (model,), 100).to_bytes()


@pytest.fixture
def in_use(small_map):
    recognizer = PlaceRecognizer.load(small_map)
    with PlaceMap.open(small_map) as writer:
        yield recognizer, writer
    recognizer.close()


def test_the_next_image_is_decided_by_a_calibration_that_was_just_made(in_use):
    recognizer, writer = in_use
    before = recognizer.recognize(picture(2))
    assert before.candidates[0].probability is None
    for likely, decision in ((0.97, Decision.MATCH), (0.2, Decision.UNKNOWN)):
        writer.set_calibration(certain(likely))
        found = recognizer.recognize(picture(2))
        assert found.candidates[0].probability == pytest.approx(likely)
        assert found.decision == decision


def test_new_keyframes_leave_the_calibration_as_it_is(in_use):
    recognizer, writer = in_use
    writer.set_calibration(certain(0.97))
    recognizer.recognize(picture(2))
    used = recognizer.decider
    writer.add(keyframes(unit_vectors(1, recognizer.place_map.manifest.descriptor_dim)))
    recognizer.recognize(picture(2))
    assert recognizer.decider is used


def test_a_calibration_that_cannot_be_read_is_said_and_the_one_before_stays(in_use, caplog):
    recognizer, writer = in_use
    writer.set_calibration(certain(0.97))
    recognizer.recognize(picture(2))
    writer.set_calibration(b'no calibration')
    with caplog.at_level(logging.WARNING):
        found = [recognizer.recognize(picture(2)) for _ in range(2)]
    assert [f.candidates[0].probability for f in found] == [pytest.approx(0.97)] * 2
    assert caplog.text.count('a new calibration is not taken') == 1


def test_its_age_is_told_in_words(in_use):
    recognizer, writer = in_use
    dim = recognizer.place_map.manifest.descriptor_dim
    assert recognizer.calibration.in_words() == 'none'
    writer.set_calibration(certain(0.97))
    assert recognizer.calibration.in_words() == 'of the map as it is'
    writer.add(keyframes(unit_vectors(1, dim)))
    assert recognizer.calibration.in_words() == '1 keyframes added or removed since'
    writer.remove([1, 2])
    told = recognizer.calibration.in_words()
    assert told == 'stale: 3 keyframes added or removed since'
    writer.set_calibration(certain(0.97))
    assert recognizer.calibration.in_words() == 'of the map as it is'

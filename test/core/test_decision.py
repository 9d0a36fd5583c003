"""Match, unknown or ambiguous: what a calibration makes of candidates."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from cerfevpr_core.calibration.model import Calibration, Logistic
from cerfevpr_core.calibration.same_place import SamePlace
from cerfevpr_core.config import DecisionConfig
from cerfevpr_core.decision import Decider, Decision
from cerfevpr_core.errors import MapError
from cerfevpr_core.geometry import Pose
from cerfevpr_core.place_map import Candidate, PlaceMap
from cerfevpr_core.recognizer import Decision as StillThere

# At similarity 0.5 a candidate is as likely right as wrong; each 0.1 more makes e times the odds.
PLAIN = Logistic(('similarity',), (0.5,), (0.1,), (1.0,), 0.0, 0.01, 0.99)


def calibration(*models: Logistic) -> Calibration:
    return Calibration(SamePlace(), models or (PLAIN,), 100)


def candidates(*similarities: float, apart: int = 20) -> list[Candidate]:
    return [Candidate(1 + apart * i, f'{i}', s) for i, s in enumerate(similarities)]


def decide(found: list[Candidate], made: Calibration | None = None, **settings: float):
    return Decider(DecisionConfig(**settings), -1.0, made or calibration()).decide(found)


def test_a_probability_is_the_logistic_of_weighted_features():
    decided = decide(candidates(0.7, 0.1))
    assert decided.candidates[0].probability == pytest.approx(0.880797, abs=1e-5)  # 1/(1+e^-2)


def test_a_probable_first_candidate_is_a_match_and_an_improbable_one_unknown():
    assert decide(candidates(0.9, 0.1), min_probability=0.9).decision == Decision.MATCH
    assert decide(candidates(0.3, 0.1), min_probability=0.9).decision == Decision.UNKNOWN
    assert decide([]).decision == Decision.UNKNOWN


def test_two_places_that_share_the_probability_are_ambiguous():
    decided = decide(candidates(0.56, 0.55), min_probability=0.9)
    assert decided.decision == Decision.AMBIGUOUS
    first, rival = (c.probability for c in decided.candidates)
    assert first + rival <= 1  # an image shows one place


def test_keyframes_of_one_place_do_not_compete():
    assert decide(candidates(0.56, 0.55, apart=1)).decision == Decision.UNKNOWN


def test_without_a_calibration_the_similarity_decides_and_there_is_no_probability():
    decider = Decider(DecisionConfig(), 0.5, None)
    assert decider.decide(candidates(0.6)).decision == Decision.MATCH
    low = decider.decide(candidates(0.4))
    assert low.decision == Decision.UNKNOWN and low.candidates[0].probability is None


def test_few_examples_never_prove_certainty():
    assert decide(candidates(1.0, -1.0)).candidates[0].probability == 0.99
    assert decide(candidates(-1.0, -1.0)).candidates[0].probability == 0.01


def test_the_model_that_knows_most_of_what_is_there_is_asked():
    verified = replace(PLAIN, names=('verified',), middle=(0.0,), spread=(1.0,), bias=3.0)
    made = calibration(verified, PLAIN)
    plain = candidates(0.5, 0.1)
    assert decide(plain, made).candidates[0].probability == pytest.approx(0.5)
    seen = [replace(plain[0], verified=True, num_inliers=50, inlier_ratio=0.5), plain[1]]
    assert decide(seen, made).candidates[0].probability == pytest.approx(0.982, abs=1e-3)


def test_features_that_settings_leave_out_are_said_once(caplog):
    needs = replace(PLAIN, names=('landmarks',))
    decider = Decider(DecisionConfig(), -1.0, calibration(needs))
    for _ in range(3):
        assert decider.decide(candidates(0.5)).candidates[0].probability is None
    assert caplog.text.count('no probabilities') == 1


def test_a_map_without_a_calibration_says_so_once_and_how_to_get_one(small_map, caplog):
    with PlaceMap.open(small_map) as place_map, caplog.at_level(logging.WARNING):
        Decider.of_map(DecisionConfig(), -1.0, place_map)
    assert caplog.text.count(f'cerfevpr map calibrate {small_map}') == 1


def test_a_calibration_comes_back_from_the_map_as_it_was(small_map, caplog):
    made = calibration()
    with PlaceMap.open(small_map) as place_map:
        place_map.set_calibration(made.to_bytes())
        assert Decider.of_map(DecisionConfig(), -1.0, place_map).calibration == made
    assert not caplog.text


def test_a_map_that_changed_much_calls_its_calibration_stale(small_map, caplog):
    with PlaceMap.open(small_map) as place_map:
        place_map.set_calibration(calibration().to_bytes())
        place_map.remove([1])
        Decider.of_map(DecisionConfig(), -1.0, place_map)
        assert not caplog.text  # one of eight
        place_map.remove([2, 3])
        Decider.of_map(DecisionConfig(), -1.0, place_map)
    assert 'stale: 3 keyframes were added or removed' in caplog.text


@pytest.mark.parametrize(
    'content', [b'', b'\x80\x04.', b'[]', b'{"form": 2}', b'{"form": 1, "models": [{}]}']
)
def test_a_calibration_that_cannot_be_read_is_named(content):
    with pytest.raises(MapError, match='map calibrate'):
        Calibration.from_bytes(content)


def test_numbers_that_do_not_fit_together_are_refused():
    broken = calibration(replace(PLAIN, weights=(1.0, 2.0)))
    with pytest.raises(MapError, match='do not fit together'):
        Calibration.from_bytes(broken.to_bytes())


def test_places_reach_two_keyframes_to_either_side_by_poses():
    def at(x_m: float, number: int, quaternion=(0.0, 0.0, 0.0, 1.0)) -> Candidate:
        return Candidate(number, '', 0.0, pose=Pose((x_m, 0.0, 0.0), quaternion))

    row = [at(2.0 * i, i) for i in range(20)]
    same = SamePlace.of(row)
    assert same.reach_m == pytest.approx(5)
    assert same.joins(row[0], row[2]) and not same.joins(row[0], row[3])
    assert same.parts(row[0], row[11]) and not same.parts(row[0], row[10])
    back = at(0.0, 30, (0.0, 1.0, 0.0, 0.0))  # turned about: another view
    assert same.parts(row[0], back) and not same.joins(row[0], back)


def test_the_decision_is_still_found_where_it_was():
    assert StillThere is Decision


def doubt(found: list[Candidate], *ids: int, **settings: float) -> str | None:
    return Decider(DecisionConfig(**settings), -1.0, calibration()).doubt(ids, found)


def test_a_pose_is_believed_that_stands_on_a_probable_keyframe():
    found = candidates(0.7, 0.3)  # keyframes 1 and 21
    assert doubt(found, 1) is None
    assert doubt(found, 21, 1) is None
    assert doubt(found, 21, min_pose_probability=0.1) is None


def test_a_pose_that_stands_on_an_improbable_keyframe_alone_is_not():
    assert doubt(candidates(0.7, 0.3), 21) == (
        'its keyframes show the place with probability 0.12, below 0.5'
    )


def test_nothing_is_held_against_a_pose_where_no_probability_is_known():
    found = candidates(0.1)
    assert doubt(found, 77) is None  # a neighbour that is no candidate
    assert Decider(DecisionConfig(), -1.0, None).doubt([1], found) is None

"""Calibration: from a map's own images to probabilities that come true."""

from __future__ import annotations

import json

import numpy as np
import pytest
from samples import assignments, tiny_settings, write_pictures

from cerfevpr_core.calibration.examples import Example
from cerfevpr_core.calibration.fit import fit_calibration
from cerfevpr_core.calibration.model import Calibration
from cerfevpr_core.calibration.reliability import calibration_error, error_of, reliability
from cerfevpr_core.calibration.same_place import SamePlace
from cerfevpr_core.errors import MapError, UncalibratedError
from cerfevpr_core.place_map import PlaceMap

pytestmark = pytest.mark.usefixtures('cache')


def made_up(number: int, seed: int, helps: float = 1.0) -> list[Example]:
    """Right answers are more similar by nature; the margin helps, or misleads where below 0."""
    rng = np.random.default_rng(seed)
    examples = []
    for _ in range(number):
        right = bool(rng.random() < 0.5)
        similarity, margin = rng.normal(0.6 if right else 0.45, 0.08), rng.normal(0, 1)
        features = {'similarity': similarity, 'similarity_margin': margin + helps * right}
        examples.append(Example(features, right, right))
    return examples


def test_probabilities_of_unseen_examples_come_true():
    made = fit_calibration(made_up(300, 0), SamePlace())
    unseen = made_up(3000, 1)
    likely = [made.models[0].probability(e.features) for e in unseen]
    assert calibration_error(likely, [e.right for e in unseen]) < 0.05


def test_a_feature_that_would_count_against_itself_is_left_out():
    made = fit_calibration(made_up(300, 0, helps=-1.0), SamePlace())
    assert made.models[0].names == ('similarity',)


def test_a_calibration_survives_as_bytes():
    made = fit_calibration(made_up(100, 0), SamePlace(5.0))
    assert Calibration.from_bytes(made.to_bytes()) == made


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        (b'{"form"', b'[' * 200_000 + b'{"form"'),
        (b'"num_examples": 100', b'"num_examples": Infinity'),
        (b'"highest": 0.', b'"highest": 9.'),
        (b'"form": 1', b'"form": 2'),
        (b'"bias": ', b'"bias": [], "was": '),
    ],
)
def test_bytes_that_no_fit_wrote_are_refused_in_words(old, new):
    made = fit_calibration(made_up(100, 0), SamePlace(5.0)).to_bytes()
    assert old in made
    with pytest.raises(MapError, match='the calibration of the map cannot be read'):
        Calibration.from_bytes(made.replace(old, new))


def test_too_few_examples_are_refused_with_what_is_missing():
    with pytest.raises(UncalibratedError, match='10 right and 10 wrong'):
        fit_calibration(made_up(12, 0), SamePlace())


def test_the_calibration_error_is_that_worked_by_hand():
    # Two bins of two: said 0.2 and 1.0 came true, said 0.7 and half came true.
    likely, right = [0.1, 0.3, 0.6, 0.8], [True, True, False, True]
    bins = reliability(likely, right, num_bins=2)
    assert [(b.number, b.probability, b.right) for b in bins] == [
        (2, pytest.approx(0.2), 1.0),
        (2, pytest.approx(0.7), 0.5),
    ]
    assert error_of(bins) == pytest.approx((0.8 + 0.2) / 2)


def test_answers_of_equal_probability_count_alike_in_any_order():
    rng = np.random.default_rng(0)
    likely, right = np.full(60, 0.9), np.arange(60) % 10 > 0
    errors = {round(calibration_error(likely, rng.permutation(right)), 9) for _ in range(3)}
    assert errors == {0.0}


def test_no_answers_have_no_error():
    assert calibration_error([], []) == 0


@pytest.fixture
def longer_map(run, weights, tmp_path):
    """A calibrated map of forty pictures, and what its making told."""
    folder = write_pictures(tmp_path / 'route', range(40))
    settings = assignments(tiny_settings(weights) | {'map.thumbnail_px': 96})
    code, told, err = run('map', 'build', '--images', folder, '--out', tmp_path / 'm', *settings)
    assert code == 0, err
    return tmp_path / 'm', told + err


def test_a_map_is_calibrated_when_it_is_built(run, longer_map):
    folder, told = longer_map
    assert 'calibrated with 240 questions' in told and 'not calibrated' not in told
    with PlaceMap.open(folder) as place_map:
        assert place_map.calibration() is not None and place_map.calibration_age() == 0


def probabilities(run, folder, images, file) -> list[float]:
    assert run('localize', folder, '--images', images, '--unordered', '--json', file)[0] == 0
    answers = json.loads(file.read_text())['images']
    return [answer['candidates'][0]['probability'] for answer in answers]


def test_a_calibrated_map_is_surer_of_its_pictures_than_of_others(run, longer_map, tmp_path):
    folder, _ = longer_map
    pictures = write_pictures(tmp_path / 'elsewhere', range(500, 530))
    inside = probabilities(run, folder, tmp_path / 'route', tmp_path / 'inside.json')
    outside = probabilities(run, folder, pictures, tmp_path / 'outside.json')
    assert np.median(inside) > np.median(outside) + 0.1


def test_calibrating_again_gives_the_same_numbers(run, longer_map):
    folder, _ = longer_map
    with PlaceMap.open(folder) as place_map:
        before = place_map.calibration()
    assert run('map', 'calibrate', folder)[0] == 0
    with PlaceMap.open(folder) as place_map:
        assert place_map.calibration() == before


@pytest.mark.parametrize('content', [b'stale', b'\x80\x04.'])
def test_a_calibration_that_is_stale_or_unreadable_is_replaced_without_complaint(
    run, longer_map, content
):
    folder, _ = longer_map
    with PlaceMap.open(folder) as place_map:
        if content == b'stale':
            place_map.remove(range(2, 40, 3))
        else:
            place_map.set_calibration(content)
            assert place_map.calibration() == content
    code, _, err = run('map', 'calibrate', folder)
    assert code == 0 and 'stale' not in err
    with PlaceMap.open(folder) as place_map:
        assert place_map.calibration_age() == 0
        Calibration.from_bytes(place_map.calibration())


def test_building_can_leave_the_calibration_out(run, weights, pictures, tmp_path):
    settings = assignments(tiny_settings(weights) | {'decision.calibrate': 'never'})
    told = run('map', 'build', '--images', pictures, '--out', tmp_path / 'm', *settings)[1]
    assert told == f'8 keyframes -> {tmp_path / "m"}\n'


def test_a_map_too_small_to_calibrate_is_built_and_says_why(
    run, fails, weights, pictures, tmp_path
):
    settings = assignments(tiny_settings(weights))
    told = run('map', 'build', '--images', pictures, '--out', tmp_path / 'm', *settings)[1]
    assert '8 keyframes' in told and 'not calibrated' in told and 'too small' in told
    assert 'too small' in fails('map', 'calibrate', tmp_path / 'm')


def test_the_benchmark_tells_decisions_errors_and_draws_the_diagram(run, longer_map, tmp_path):
    folder, _ = longer_map
    elsewhere = write_pictures(tmp_path / 'elsewhere', range(500, 520))
    page = tmp_path / 'page'
    code, told, err = run(
        'bench', 'decisions', folder, '--queries', tmp_path / 'route', '--frame-tolerance', 0,
        '--elsewhere', elsewhere, '--json', tmp_path / 'd.json', '--report', page,
    )  # fmt: skip
    assert code == 0, err
    assert 'half and half' in told and 'calibration error' in told
    text = (page / 'report.html').read_text(encoding='utf-8')
    assert 'Expected calibration error: in the map' in text
    assert 'wrong matches' in text and 'of 40 images in the map' in text and 'of 20 images' in text


def test_localize_draws_the_diagram_where_the_truth_is_told(run, longer_map, tmp_path):
    folder, _ = longer_map
    page = tmp_path / 'page'
    arguments = ['--images', tmp_path / 'route', '--report', page, '--frame-tolerance', 0]
    assert run('localize', folder, *arguments)[0] == 0
    text = (page / 'report.html').read_text(encoding='utf-8')
    assert 'Expected calibration error: these images' in text

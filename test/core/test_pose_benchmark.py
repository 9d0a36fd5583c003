"""The benchmark of published poses: its figures, its tables, and `cerfevpr bench poses`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from samples import assignments, tiny_settings, write_pictures

from cerfevpr_core.evaluation.poses.measure import nees
from cerfevpr_core.evaluation.poses.questions import of_folder, of_other_streets
from cerfevpr_core.evaluation.poses.result import (
    Answer,
    Group,
    Result,
    as_json,
    calibration,
    reached,
)
from cerfevpr_core.evaluation.poses.tables import by_condition, covariances, elsewhere, protocol
from cerfevpr_core.geometry import Pose
from cerfevpr_core.verification import PoseEstimate
from cerfevpr_core.verification.refine import moved


def posed(error: tuple[float, float], nees: float) -> Answer:
    return Answer('query', True, error, nees, True, None, 10.0)


def refused(verified: bool = False) -> Answer:
    return Answer('query', False, None, None, verified, 'too few', 20.0)


def result(*outside: Answer) -> Result:
    inside = [posed((0.1, 1.0), 4.0), posed((0.1, 6.0), 30.0), refused(), refused()]
    groups = [Group('night', True, inside)]
    return Result('street', 3, [*groups, *([Group('hall', False, [*outside])] if outside else [])])


def test_an_error_counts_in_deviations_of_its_own_covariance():
    pose = Pose((1.0, 2.0, 3.0), (0.0, 0.6, 0.0, 0.8))
    step = np.array([0.1, 0.0, 0.0, 0.0, 0.0, 0.02])
    true = Pose.from_matrix(moved(pose.matrix(), step))
    covariance = np.diag([0.01, 1, 1, 1, 1, 0.0004])
    assert nees(PoseEstimate(pose, covariance, 20, (1,)), true) == pytest.approx(2.0)


def test_covariances_that_are_right_have_the_mean_that_they_should():
    rng = np.random.default_rng(0)
    pose = Pose((1.0, 2.0, 3.0), (0.0, 0.6, 0.0, 0.8))
    root = 0.01 * rng.normal(size=(6, 6))
    estimate = PoseEstimate(pose, root @ root.T, 20, (1,))
    found = []
    for step in rng.normal(size=(1000, 6)) @ root.T:
        true = Pose.from_matrix(moved(pose.matrix(), step))
        found.append(posed((0.0, 0.0), nees(estimate, true)))
    figures = calibration(found)
    assert figures is not None
    assert figures.interval == pytest.approx((5.785, 6.215), abs=1e-3)
    assert figures.interval[0] < figures.mean < figures.interval[1]
    assert figures.num_rare <= 4


def test_figures_worked_by_hand():
    inside = result().groups[0].answers
    found = reached(inside)
    assert (found.num_queries, found.posed, found.correct, found.num_wrong) == (4, 50, 25, 1)
    assert found.median_error_deg == pytest.approx(3.5) and found.ms_p50 == 15
    known = calibration(inside)
    assert known is not None
    assert (known.num_poses, known.mean, known.median, known.num_rare) == (2, 17, 17, 1)
    assert (known.highest, known.mean_without_worst) == (30, 4)
    assert calibration([refused()]) is None
    assert reached([refused()]).median_error_m is None


def test_tables_count_poses_of_places_that_are_not_in_the_map():
    made = result(refused(), refused(verified=True), Answer('q', True, None, None, True, None, 1))
    assert by_condition(made).rows[-1][:5] == ['all', '4', '50.0', '25.0', '1']
    table = elsewhere(made)
    assert table is not None and table.rows[0] == ['hall', '3', '1', '2']
    assert covariances(made).rows[0][:4] == ['night', '2', '17.00', '1.20 to 10.80']
    assert '4 images of the street and 3 of places that are not in the map' in protocol(made)[0]
    written = as_json(made, {}, '')
    assert written['elsewhere'] == {'num_queries': 3, 'num_poses': 1, 'num_verified': 2}


def test_without_other_places_there_is_no_table_of_them():
    assert elsewhere(result()) is None


def test_images_of_a_folder_get_a_camera_with_the_field_of_view_of_the_map(tmp_path):
    folder = write_pictures(tmp_path / 'hall' / 'day', range(3))
    questions = of_folder(folder, every=2)
    assert questions.name == 'hall/day' and len(questions) == 2 and not questions.in_map
    first, last = questions
    assert (first.name, last.name) == ('000.png', '002.png') and first.pose is None
    assert (first.camera.width_px, first.camera.height_px) == (128, 96)
    assert first.camera.fx == pytest.approx(205 * 128 / 320)


def test_another_street_is_asked_in_all_conditions_without_poses():
    asked = of_other_streets(21, 4, 2)
    assert [len(some) for some in asked] == 8 * [2]
    assert next(iter(asked[0])).pose is None


def test_the_command_says_how_many_poses_are_right(run, weights, tmp_path):
    file = tmp_path / 'poses.json'
    small = tiny_settings(weights) | {
        'verification.detector': 'orb',
        'verification.num_candidates': 3,
        'landmarks.selection': 'all',
    }
    other = write_pictures(tmp_path / 'hall', range(2))
    given = ['--frames', 4, '--every', 3, '--elsewhere-seeds', '21', '--elsewhere', other]
    code, told, _ = run('bench', 'poses', *given, '--json', file, *assignments(small))
    assert code == 0
    assert 'drawn route, seed 0: 14 images of the street and 17 of places' in told
    figures = json.loads(file.read_text())
    assert figures['map']['num_keyframes'] == 4
    assert figures['reachable']['num_queries'] == 14 and figures['reachable']['posed'] > 20
    assert figures['elsewhere']['num_queries'] == 17 and figures['elsewhere']['num_poses'] == 0
    assert figures['nees']['num_poses'] * 100 == round(figures['reachable']['posed'] * 14)
    names = [group['name'] for group in figures['groups']]
    assert names[0] == 'summer, shifted' and names[-2:] == ['seed 21', f'{tmp_path.name}/hall']
    assert figures['settings']['verification.detector'] == 'orb'


def test_the_command_refuses_what_it_cannot_use(fails, tmp_path):
    command = ['bench', 'poses', '--frames', 2]
    assert fails(*command, '--every', 0) == '--every 0: expected 1 or more'
    text = fails(*command, '--elsewhere-seeds', '3,x')
    assert text == '--elsewhere-seeds x: expected whole numbers, as 21,22'
    text = fails(*command, '--seed', 3, '--elsewhere-seeds', '3')
    assert text == '--elsewhere-seeds 3: that street is in the map; choose others'
    text = fails(*command, '--set', 'verification.mode=never')
    assert text == 'verification.mode is never: there are no poses; leave it out'
    assert str(tmp_path / 'none') in fails(*command, '--elsewhere', tmp_path / 'none')

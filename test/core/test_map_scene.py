"""What a viewer is shown of maps and poses, against small cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cerfevpr_core.ellipsoid import CONFIDENT_95, confidence_ellipsoid
from cerfevpr_core.geometry import Pose
from cerfevpr_core.map_scene import confidences, map_scene, rgba
from cerfevpr_core.place_map import Candidate

AHEAD = Pose((1.0, 2.0, 0.5), (-0.5, 0.5, -0.5, 0.5))  # looks along the map's x


def test_keyframes_are_shown_by_traverse_where_they_stand_and_look():
    night = Candidate(1, 'a', 0.0, traverse='night', pose=AHEAD)
    day, unposed = Candidate(2, 'b', 0.0, traverse='day', pose=AHEAD), Candidate(3, 'c', 0.0)
    scenes = map_scene([night, day, unposed])
    assert [s.name for s in scenes] == ['day', 'night']
    assert scenes[0].color != scenes[1].color
    assert scenes[0].positions_m == [(1.0, 2.0, 0.5)]
    np.testing.assert_allclose(scenes[0].gazes_m, [(1.0, 2.0, 0.5), (1.5, 2.0, 0.5)], atol=1e-12)


def test_a_map_without_poses_has_nothing_to_show():
    assert map_scene([Candidate(1, 'a', 0.0)]) == []


def test_candidates_stand_out_by_probability_and_else_by_similarity():
    known = [Candidate(1, 'a', 0.9, probability=0.97), Candidate(2, 'b', 0.8, probability=0.01)]
    assert confidences(known) == [0.97, 0.15]
    similar = [Candidate(1, 'a', 0.9), Candidate(2, 'b', 0.5), Candidate(3, 'c', 0.7)]
    assert confidences(similar) == pytest.approx([1.0, 0.15, 0.575])
    assert confidences([]) == [] and len(confidences(similar[:1])) == 1


def test_the_ellipsoid_of_a_covariance_lies_along_its_axes():
    covariance = np.diag([0.04, 0.01, 0.0025])
    found = confidence_ellipsoid((1.0, 2.0, 3.0), covariance)
    assert found.pose.position_m == (1.0, 2.0, 3.0)
    expected = [2 * CONFIDENT_95 * s for s in (0.05, 0.1, 0.2)]
    np.testing.assert_allclose(found.diameters_m, expected)


def test_a_turned_covariance_gives_a_turned_ellipsoid():
    turn = Rotation.from_rotvec([0.3, -0.8, 0.5]).as_matrix()
    covariance = turn @ np.diag([0.04, 0.01, 0.0025]) @ turn.T
    found = confidence_ellipsoid((0.0, 0.0, 0.0), covariance)
    axes = found.pose.matrix()[:3, :3]
    assert np.linalg.det(axes) == pytest.approx(1)
    radii = np.array(found.diameters_m) / (2 * CONFIDENT_95)
    np.testing.assert_allclose(axes @ np.diag(radii**2) @ axes.T, covariance, atol=1e-12)


def test_19_of_20_normal_deviates_lie_in_the_ellipsoid():
    samples = np.random.default_rng(0).normal(size=(20_000, 3)) * [0.2, 0.1, 0.05]
    found = confidence_ellipsoid((0.0, 0.0, 0.0), np.diag([0.04, 0.01, 0.0025]))
    inside = samples @ found.pose.matrix()[:3, :3] / (np.array(found.diameters_m) / 2)
    assert (np.linalg.norm(inside, axis=1) <= 1).mean() == pytest.approx(0.95, abs=0.01)


def test_a_certain_direction_is_still_seen():
    found = confidence_ellipsoid((0.0, 0.0, 0.0), np.diag([0.01, 0.0, -1e-12]))
    assert min(found.diameters_m) == 0.01


def test_a_colour_of_the_palette_becomes_parts_of_one():
    assert rgba('#ff0033', 0.5) == (1.0, 0.0, 0.2, 0.5)

"""Left stays left and above stays above in two images of one place."""

from __future__ import annotations

import numpy as np
import pytest
from verification_scenes import AWAY, CAMERA, HOME, SIZE, descriptors, scattered, seen

from cerfevpr_core.config import VerificationConfig
from cerfevpr_core.verification.support import kept_order
from cerfevpr_core.verification.two_view import two_view


def test_the_lesser_of_both_rank_correlations_counts() -> None:
    one = np.array([[0.0, 0], [1, 5], [2, 7], [3, 9]])
    assert kept_order(one, 3 * one + 100) == pytest.approx(1)
    swapped = one[[1, 0, 2, 3]]  # ranks 1 0 2 3 beside 0 1 2 3: 1 - 6 * 2 / (4 * 15)
    assert kept_order(one, np.stack([one[:, 0], swapped[:, 1]], axis=1)) == pytest.approx(0.8)
    assert kept_order(one, one * [-1, 1]) == pytest.approx(-1)
    assert kept_order(one[:2], one[:2]) == 0
    assert kept_order(np.ones((5, 2)), np.ones((5, 2))) == 0


def test_true_views_keep_it_and_matches_along_lines_do_not() -> None:
    rng = np.random.default_rng(1)
    points, rows = scattered(rng, 120, (2, 8)), descriptors(rng, 120)
    views = [seen(points, pose, rows, rng, 0.5, None, CAMERA) for pose in (AWAY, HOME)]
    query, keyframe = (view.positions_px.astype(np.float64) for view in views)
    asked = VerificationConfig(min_order=0.8)
    found = two_view(query, keyframe, SIZE, None, asked).support
    assert found.order > 0.9 and found.fault(asked) is None
    # On its row each match lies anywhere: a fundamental matrix takes them all.
    along = np.stack([rng.uniform(0, 640, 120), query[:, 1]], axis=1)
    wrong = two_view(query, along, SIZE, None, asked).support
    assert wrong.num_inliers > 100 and wrong.fault(VerificationConfig()) is None
    assert 'the order of inliers agrees' in (wrong.fault(asked) or '')

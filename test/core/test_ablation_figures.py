"""The figures of an ablation, against cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cerfevpr_core.ablation.measure import difference, recalls, standard_error
from cerfevpr_core.ablation.page import table
from cerfevpr_core.training.validation import ranks_of


def test_recall_counts_the_first_right_answer() -> None:
    similarity = np.array([[0.9, 0.5, 0.1], [0.2, 0.3, 0.4], [0.1, 0.2, 0.3]], np.float32)
    right = np.array([[True, False, False], [True, True, False], [False, False, False]])
    assert ranks_of(similarity, right).tolist() == [1, 2]  # the third has no right answer
    found = recalls({'one': np.array([1, 2, 11, 6]), 'other': np.array([1])})
    assert found['one'] == {'1': 25.0, '5': 50.0, '10': 75.0}
    assert found['mean'] == {'1': 62.5, '5': 75.0, '10': 87.5}


def test_the_error_of_a_difference_is_that_of_what_only_one_version_answered() -> None:
    first = {'here': np.array([1, 1, 2, 2]), 'there': np.array([1, 9])}
    better = {'here': np.array([1, 1, 1, 2]), 'there': np.array([1, 9])}
    found = difference(better, first)
    assert found['recall_at_1'] == pytest.approx(12.5)  # 25 here, nothing there
    variance = (0.25 - 0.25**2) / 4  # of the mean of 0, 0, 1, 0
    assert found['standard_error'] == pytest.approx(100 * variance**0.5 / 2)
    assert difference(first, first) == {'recall_at_1': 0.0, 'standard_error': 0.0}
    half = {'here': np.array([1, 2] * 50)}
    assert standard_error(half) == pytest.approx(5.0)


def test_the_best_of_each_column_is_bold() -> None:
    def row(name: str, at_1: float, at_5: float) -> dict:
        return {
            'name': name,
            'descriptor_dim': 8,
            'recall': {'mean': {'1': at_1, '5': at_5}},
            'standard_error': 2.0,
            'difference': {'recall_at_1': at_1 - 50, 'standard_error': 1.0},
        }

    assert table([row('full', 50.0, 80.0), row('other', 48.0, 80.0)]) == [
        '| version | size | mean | difference |',
        '| --- | --- | --- | --- |',
        '| `full` | 8 | **50.0** / **80.0** | ± 2.0 |',
        '| `other` | 8 | 48.0 / **80.0** | -2.0 ± 1.0 |',
    ]

"""Protocols and figures, against small cases worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PilImage
from samples import picture, tiny_config, write_pictures

from cerfevpr_core.data.frames import FolderFrames
from cerfevpr_core.errors import ConfigError, ImageError
from cerfevpr_core.evaluation.evaluate import evaluate_methods
from cerfevpr_core.evaluation.methods import parse_method
from cerfevpr_core.evaluation.metrics import RECALL_AT, precision_recall, score
from cerfevpr_core.evaluation.protocol import positives_by_frame, positives_by_radius
from cerfevpr_core.images import list_images, read_image
from cerfevpr_core.mapping import build_map
from cerfevpr_core.recognizer import PlaceRecognizer


def test_frames_are_right_within_the_tolerance():
    positives = positives_by_frame(['q3.jpg', 'q9.jpg'], ['a2.png', 'a3.png', 'a5.png'], 1)
    np.testing.assert_array_equal(positives.right, [[True, True, False], [False, False, False]])
    assert positives.rule == 'frames +-1'
    exact = positives_by_frame(['q3.jpg'], ['a2.png', 'a3.png'], 0)
    np.testing.assert_array_equal(exact.right, [[False, True]])


def test_frames_without_numbers_and_a_negative_tolerance_are_refused():
    with pytest.raises(ImageError, match=r'yard\.jpg has no number in its name'):
        positives_by_frame(['yard.jpg'], ['1.jpg'], 1)
    with pytest.raises(ConfigError, match='a frame tolerance of -1: expected 0 or more'):
        positives_by_frame(['1.jpg'], ['1.jpg'], -1)


def test_images_are_right_within_the_radius(tmp_path):
    file = tmp_path / 'positions.csv'
    file.write_text('name,x_m,y_m\nq.jpg,0,0\na,3,4\nb.jpg,3.1,4\n')
    positives = positives_by_radius(['q.jpg'], ['a.jpg', 'b.jpg'], 5, file)
    np.testing.assert_array_equal(positives.right, [[True, False]])
    assert positives.rule == 'within 5 m'


def test_positions_may_stand_in_the_names():
    positives = positives_by_radius(['@0@0@q.jpg'], ['@10@0@a.jpg', '@0@30@b.jpg'], 25, None)
    np.testing.assert_array_equal(positives.right, [[True, False]])


def test_an_image_without_a_position_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r'no position for a\.jpg: it is not in the form @east@'):
        positives_by_radius(['@0@0@q.jpg'], ['a.jpg'], 25, None)
    file = tmp_path / 'positions.csv'
    file.write_text('name,x_m,y_m\nq,0,0\n')
    with pytest.raises(ConfigError, match=r'no position for a.jpg: .*positions.csv has no row'):
        positives_by_radius(['q.jpg'], ['a.jpg'], 25, file)
    for radius_m in (0, -1, float('nan'), float('inf')):
        with pytest.raises(ConfigError, match='expected metres above 0'):
            positives_by_radius(['q.jpg'], ['q.jpg'], radius_m, file)


# Four queries, three database images; the last query has no right answer.
RIGHT = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0]], bool)
RANKED = np.array([[0, 1, 2], [0, 2, 1], [2, 1, 0], [0, 1, 2]])
SIMILARITY = np.array([0.9, 0.8, 0.7, 0.99], np.float32)


def test_scores_are_those_worked_by_hand():
    scores = score(RANKED, SIMILARITY, RIGHT)
    # Of three answerable queries two are right at first; the second one's answer ranks third.
    assert scores.recall == pytest.approx({1: 200 / 3, 5: 100, 10: 100, 20: 100})
    # Every query is answered, the one that cannot be right among them: two of four are right.
    assert scores.precision_at_full_recall == pytest.approx(50)
    # By similarity: wrong, right (P 1/2, R 1/2), wrong, right (P 2/4, R 2/2): AP = 1/2.
    assert scores.average_precision == pytest.approx(50)


def test_the_curve_passes_the_same_points():
    precision, recall = precision_recall(RANKED, SIMILARITY, RIGHT)
    points = set(zip(precision.round(3), recall.round(3), strict=True))
    assert {(0.0, 0.0), (50.0, 50.0), (33.333, 50.0), (50.0, 100.0)} <= points
    area = -np.sum(np.diff(recall) * precision[:-1]) / 100
    assert area == pytest.approx(score(RANKED, SIMILARITY, RIGHT).average_precision)


def test_queries_without_a_right_answer_change_precision_but_not_recall():
    answerable = score(RANKED[:3], SIMILARITY[:3], RIGHT[:3])
    assert answerable.recall == score(RANKED, SIMILARITY, RIGHT).recall
    assert answerable.precision_at_full_recall == pytest.approx(200 / 3)
    assert answerable.average_precision == pytest.approx(100 * (1 + 2 / 3) / 2)


def test_all_right_and_all_wrong_are_the_ends_of_the_scale():
    eye = np.eye(3, dtype=bool)
    similarity = np.array([0.3, 0.2, 0.1], np.float32)
    best = score(np.array([[0, 1], [1, 2], [2, 0]]), similarity, eye)
    assert set(best.recall.values()) == {100.0}
    assert (best.precision_at_full_recall, best.average_precision) == (100, 100)
    worst = score(np.array([[1, 2], [0, 2], [0, 1]]), similarity, eye)
    assert set(worst.recall.values()) == {0.0}
    assert (worst.precision_at_full_recall, worst.average_precision) == (0, 0)
    none = score(np.array([[1, 2]]), similarity[:1], np.zeros((1, 3), bool))
    assert set(none.recall.values()) == {0.0}


@pytest.fixture(scope='module')
def night(tmp_path_factory):
    """The places 0 to 5 of the map darker, and one that is not in it."""
    folder = tmp_path_factory.mktemp('queries') / 'night'
    folder.mkdir()
    for seed in (0, 1, 2, 3, 4, 5, 50):
        darker = PilImage.fromarray((picture(seed) * 0.8).astype(np.uint8))
        darker.save(folder / f'{seed:03}.png')
    return folder


def evaluated(method, weights, database, queries, **more):
    files = list_images(database), list_images(queries)
    positives = positives_by_frame([f.name for f in files[1]], [f.name for f in files[0]], 0)
    return evaluate_methods(
        [parse_method(method)], tiny_config(weights), *files, positives, **more
    )[0]


def test_an_evaluation_answers_as_the_recognizer_does(weights, pictures, night, tmp_path):
    result = evaluated('grid', weights, pictures, night)
    build_map(FolderFrames(pictures), tmp_path / 'map', tiny_config(weights))
    recognizer = PlaceRecognizer.load(tmp_path / 'map')
    for row, file in enumerate(list_images(night)):
        candidates = recognizer.recognize(read_image(file), 8).candidates
        assert [c.keyframe_id - 1 for c in candidates] == result.ranked[row].tolist()
        np.testing.assert_allclose(
            [c.similarity for c in candidates],
            result.similarity[row, result.ranked[row]],
            atol=1e-5,
        )
    recognizer.close()


def test_a_result_has_a_row_for_each_query(weights, pictures, night):
    result = evaluated('grid', weights, pictures, night)
    assert result.ranked.shape == result.similarity.shape == (7, 8)
    assert result.descriptor_dim == 192 * 4
    assert len(result.describe_ms) == len(result.search_ms) == 7
    assert set(result.scores.recall) == set(RECALL_AT)
    assert result.scores.recall[1] == 100  # of the six that have an answer
    assert result.recall_at_1_by_seed == ()


def test_an_answer_does_not_depend_on_the_other_queries(weights, pictures, night, tmp_path):
    whole = evaluated('vlad', weights, pictures, night)
    alone = write_pictures(tmp_path / 'alone', [])
    (alone / '003.png').write_bytes((night / '003.png').read_bytes())
    single = evaluated('vlad', weights, pictures, alone)
    np.testing.assert_array_equal(single.ranked[0], whole.ranked[3])
    np.testing.assert_allclose(single.similarity[0], whole.similarity[3], atol=1e-5)


def test_several_seeds_are_averaged_and_told_apart(weights, pictures, night):
    result = evaluated('vlad', weights, pictures, night, num_seeds=2)
    by_seed = result.recall_at_1_by_seed
    assert len(by_seed) == 2
    assert result.scores.recall[1] == pytest.approx(np.mean(by_seed))
    once = evaluated('vlad', weights, pictures, night)
    assert once.scores.recall[1] == pytest.approx(by_seed[0])
    assert evaluated('grid', weights, pictures, night, num_seeds=3).recall_at_1_by_seed == ()


def test_an_unreadable_image_is_an_error_when_measuring(weights, pictures, tmp_path):
    queries = write_pictures(tmp_path / 'queries', range(2))
    (queries / '001.png').write_bytes(b'not a picture')
    with pytest.raises(ImageError, match=r'001\.png'):
        evaluated('grid', weights, pictures, queries)


@pytest.mark.slow
@pytest.mark.data
def test_pooled_cells_reach_their_figure_on_a_walk_by_night(data):
    from cerfevpr_core.config import load_config
    from cerfevpr_core.weights import PACKAGES

    config = load_config(overrides={'method': 'grid'})
    if PACKAGES[config.backbone.name].file() is None:
        pytest.skip('the package of the default backbone is not installed')
    walks = data / 'gardens_point'
    files = list_images(walks / 'day_right'), list_images(walks / 'night_right')
    positives = positives_by_frame([f.name for f in files[1]], [f.name for f in files[0]], 2)
    result = evaluate_methods([parse_method('grid')], config, *files, positives)[0]
    assert result.scores.recall[1] == pytest.approx(89.5, abs=2)

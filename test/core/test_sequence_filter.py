"""The belief over keyframes: what images in order say together."""

from __future__ import annotations

import time

import numpy as np
import pytest

from cerfevpr_core.config import SequenceConfig
from cerfevpr_core.geometry import Pose
from cerfevpr_core.place_map import Candidate
from cerfevpr_core.sequence import KeyframeFilter, KeyframeTable, Motion
from cerfevpr_core.sequence.evidence import above_usual
from cerfevpr_core.sequence.transitions import SPEEDS, along_order, speed_changes

SIZE, BEGIN = 120, 10
CONFIG = SequenceConfig()


def similarities(row: int | None, rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
    """Of an image taken at a keyframe, and often as similar to one of another place."""
    found = rng.normal(0.3, 0.05, size)
    if row is not None:
        found += 0.2 * np.exp(-0.5 * (np.arange(size) - row) ** 2)
    if rng.random() < 0.7:
        found += 0.22 * np.exp(-0.5 * (np.arange(size) - rng.integers(size)) ** 2)
    return found


def positioned(size: int = SIZE, traverse: str = 'day', first_id: int = 1) -> list[Candidate]:
    """Keyframes 2 m apart on a straight line, all looking along it."""
    return [
        Candidate(first_id + n, f'{n}', 0.0, traverse=traverse, pose=Pose((0, 0, 2.0 * n), UP))
        for n in range(size)
    ]


UP = (0.0, 0.0, 0.0, 1.0)


def follow(rows, table=None, motions=None, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """How far the best keyframe is from the true row, and the chance of nowhere, by image."""
    rng = np.random.default_rng(seed)
    table = table or KeyframeTable.of_one_traverse(SIZE)
    found = KeyframeFilter(CONFIG, table)
    off, nowhere = [], []
    for number, row in enumerate(rows):
        belief = found.update(
            similarities(row, rng, len(table)), motion=motions[number] if motions else None
        )
        off.append(np.nan if row is None else belief.order[0] - row)
        nowhere.append(belief.nowhere)
    return np.abs(off), np.array(nowhere)


def alone(rows, seed: int = 0) -> np.ndarray:
    """The same for each image by itself."""
    rng = np.random.default_rng(seed)
    return np.abs([int(similarities(row, rng).argmax()) - row for row in rows])


WAYS = {
    'forward': list(range(BEGIN, 90)),
    'reverse': list(range(90, BEGIN, -1)),
    'twice as fast': list(range(BEGIN, 110, 2)),
    'three times as fast': list(range(0, 118, 3)),
    'slow': [n for n in range(BEGIN, 50) for _ in range(4)],
    'with a stop': [*range(BEGIN, 50), *[50] * 40, *range(50, 90)],
    'turning back': [*range(BEGIN, 60), *range(60, BEGIN, -1)],
    'at changing speed': list(np.cumsum(np.random.default_rng(5).choice([0, 1, 1, 2, 3], 75))),
}


@pytest.mark.parametrize('way', WAYS)
def test_images_in_order_are_found_that_one_by_one_are_not(way: str) -> None:
    together = [np.mean(follow(WAYS[way], seed=seed)[0][10:] <= 2) for seed in range(3)]
    by_itself = [np.mean(alone(WAYS[way], seed)[10:] <= 2) for seed in range(3)]
    assert np.mean(by_itself) < 0.75
    assert np.mean(together) > 0.9


def test_a_jump_is_followed_within_ten_images() -> None:
    for seed in range(5):
        off, _ = follow([*range(10, 50), *range(80, 110)], seed=seed)
        assert (off[:40][10:] <= 2).mean() > 0.9
        assert (off[50:] <= 2).mean() > 0.9


def test_outside_the_map_nowhere_grows_and_on_return_it_falls() -> None:
    for seed in range(3):
        off, nowhere = follow([*range(40), *[None] * 40, *range(40, 80)], seed=seed)
        assert nowhere[10:40].mean() < 0.2
        assert nowhere[60:80].mean() > 0.5
        assert nowhere[100:].mean() < 0.2
        assert (off[90:] <= 2).mean() > 0.9


def test_only_past_images_count() -> None:
    first, second = KeyframeTable.of_one_traverse(SIZE), KeyframeTable.of_one_traverse(SIZE)
    rng = np.random.default_rng(0)
    shared = [similarities(row, rng) for row in range(20)]
    one, other = KeyframeFilter(CONFIG, first), KeyframeFilter(CONFIG, second)
    orders = [(one.update(s).order, other.update(s).order) for s in shared]
    other.update(similarities(90, rng))
    assert all(np.array_equal(a, b) for a, b in orders)


def test_chances_add_up_to_one_after_every_image() -> None:
    found = KeyframeFilter(CONFIG, KeyframeTable.of_one_traverse(SIZE))
    rng = np.random.default_rng(0)
    for row in (5, 6, None, 7, 119, 119, 119):
        belief = found.update(similarities(row, rng))
        assert found.state.sum() + belief.nowhere == pytest.approx(1)
        assert (found.state > 0).all()
        assert ((belief.places >= 0) & (belief.places <= 1)).all()


def test_one_bad_image_does_not_kill_the_belief() -> None:
    rng = np.random.default_rng(0)
    found = KeyframeFilter(CONFIG, KeyframeTable.of_one_traverse(SIZE))
    for row in range(20, 50):
        found.update(similarities(row, rng))
    wrong = similarities(50, rng)
    wrong[100] = 1.0  # as certain as an image can be
    found.update(wrong)
    belief = found.update(similarities(51, rng))
    assert abs(int(belief.order[0]) - 51) <= 2


def test_scale_and_offset_of_similarities_make_no_difference() -> None:
    rng = np.random.default_rng(0)
    plain = KeyframeFilter(CONFIG, KeyframeTable.of_one_traverse(SIZE))
    scaled = KeyframeFilter(CONFIG, KeyframeTable.of_one_traverse(SIZE))
    for row in range(30):
        image = similarities(row, rng)
        belief, other = plain.update(image), scaled.update(0.4 * image + 0.5)
        np.testing.assert_allclose(belief.places, other.places, atol=1e-6)


def test_equal_similarities_and_unknown_ones_say_nothing() -> None:
    assert np.array_equal(above_usual(np.full(9, 0.4)), np.zeros(9))
    assert np.array_equal(above_usual(np.full(9, np.nan)), np.zeros(9))
    # By hand: usual 3, lower spread 3 - 1.64 = 1.36.
    found = above_usual(np.array([1.0, 2.0, 3.0, 4.0, 5.0, np.nan]))
    np.testing.assert_allclose(found, [-2 / 1.36, -1 / 1.36, 0, 1 / 1.36, 2 / 1.36, 0])


def test_a_keyframe_that_is_similar_to_every_image_loses_its_lead() -> None:
    rng = np.random.default_rng(0)
    found = KeyframeFilter(CONFIG, KeyframeTable.of_one_traverse(SIZE))
    best = []
    for row in range(20, 100):
        image = similarities(row, rng)
        image[5] = 0.55
        best.append(int(found.update(image).order[0]))
    assert 5 not in best[-20:]


def test_landmarks_decide_where_descriptors_do_not() -> None:
    found = KeyframeFilter(CONFIG, KeyframeTable.of_one_traverse(SIZE))
    landmarks = np.full(SIZE, np.nan)
    landmarks[20:50] = np.random.default_rng(0).normal(0.2, 0.01, 30)
    landmarks[33] = 0.4
    assert found.update(np.full(SIZE, 0.3), landmarks).order[0] == 33


def test_transitions_keep_all_mass_but_what_drives_past_the_end() -> None:
    changes = speed_changes(0.1, 0.02)
    np.testing.assert_allclose(changes.sum(axis=0), 1)
    sums = along_order(KeyframeTable.of_one_traverse(60)).sum(axis=0).reshape(len(SPEEDS), 60)
    np.testing.assert_allclose(sums[:, 20:40], 1)
    assert sums[-1, -1] == 0  # the fastest speed at the last keyframe
    assert sums.max() < 1 + 1e-9


def test_traverses_are_not_driven_from_one_into_the_next() -> None:
    table = KeyframeTable.of([*positioned(5, 'a'), *positioned(5, 'b', 6)])
    assert [run.tolist() for run in table.runs()] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    table = KeyframeTable.of([*positioned(5), *positioned(60)[-5:]])
    assert [run.tolist() for run in table.runs()] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_keyframes_of_one_place_in_two_traverses_support_each_other() -> None:
    table = KeyframeTable.of([*positioned(40), *positioned(40, 'night', 41)])
    found = KeyframeFilter(CONFIG, table)
    rng = np.random.default_rng(0)
    for row in range(5, 25):  # only the first traverse looks like the images
        image = similarities(row, rng, 80)
        image[40:] = rng.normal(0.3, 0.05, 40)
        belief = found.update(image)
    assert belief.places[24 + 40] > 0.5
    assert belief.places[10 + 40] < 0.1


def test_odometry_leads_to_the_right_one_of_two_equal_places() -> None:
    table = KeyframeTable.of(positioned())
    found = KeyframeFilter(CONFIG, table)
    rng = np.random.default_rng(0)
    for row in range(10, 30):
        found.update(similarities(row, rng), motion=Motion.planar(2.0))
    alike = similarities(None, rng)
    alike[[30, 60, 90]] += 0.3
    assert found.update(alike, motion=Motion.planar(2.0)).order[0] == 30
    far = similarities(None, rng)
    far[[31, 36, 90]] += 0.3
    assert found.update(far, motion=Motion.planar(12.0)).order[0] == 36


@pytest.mark.parametrize('step_m', [0.1, 0.5, 2.0, 5.0, -2.0])
def test_odometry_follows_at_any_speed_and_backwards(step_m: float) -> None:
    table = KeyframeTable.of(positioned())
    begin = 220.0 if step_m < 0 else 10.0
    metres = np.arange(begin, 20.0 if step_m < 0 else 230.0, step_m)[:200]
    rows = np.rint(metres / 2).astype(int).tolist()
    off, _ = follow(rows, table, [Motion.planar(step_m)] * len(rows))
    assert (off[10:] <= 2).mean() > 0.9


def test_odometry_out_of_the_map_leads_to_nowhere() -> None:
    found = KeyframeFilter(CONFIG, KeyframeTable.of(positioned()))
    rng = np.random.default_rng(0)
    for row in range(10, 30):
        found.update(similarities(row, rng), motion=Motion.planar(2.0))
    found.predict(Motion.between(Pose((0, 0, 0), UP), Pose((30.0, 0, 0), UP)))
    assert found.nowhere > 0.8


def test_a_robot_that_stands_stays_where_it_is_in_a_map_without_poses() -> None:
    found = KeyframeFilter(CONFIG, KeyframeTable.of_one_traverse(SIZE))
    rng = np.random.default_rng(0)
    for row in range(10, 30):
        found.update(similarities(row, rng))
    before = found.state.copy()
    found.predict(Motion.planar(0.0))
    kept = 1 - CONFIG.jump - CONFIG.leave
    np.testing.assert_allclose(found.state, kept * before, atol=1e-5)


def test_motion_says_distance_and_turn_and_adds_up() -> None:
    motion = Motion.planar(2.0, 30.0).then(Motion.planar(2.0, -30.0))
    assert motion.turn_deg == pytest.approx(0, abs=1e-6)
    # By hand: 2 m ahead, then 2 m along 30 degrees to the left; x is to the right.
    np.testing.assert_allclose(motion.relative.position_m, [-1, 0, 2 + 3**0.5], atol=1e-9)
    assert motion.sigma_m == pytest.approx(0.2 * 2**0.5)


def test_what_is_believed_survives_new_keyframes_and_removed_ones() -> None:
    found = KeyframeFilter(CONFIG, KeyframeTable.of(positioned(100)))
    rng = np.random.default_rng(0)
    for row in range(10, 30):
        found.update(similarities(row, rng, 100))
    changed = KeyframeFilter(CONFIG, KeyframeTable.of(positioned()[5:]))
    changed.take_over(found)
    belief = changed.update(similarities(25, rng, SIZE - 5))
    assert abs(int(belief.ids[belief.order[0]]) - 31) <= 2
    assert changed.state.sum() + changed.nowhere == pytest.approx(1)


def test_what_a_standing_robot_sees_stays_its_place_when_the_map_grows() -> None:
    seen = similarities(25, np.random.default_rng(0), 100)
    found = KeyframeFilter(CONFIG, KeyframeTable.of(positioned(100)))
    found.update(seen)
    grown = KeyframeFilter(CONFIG, KeyframeTable.of(positioned(101)))
    grown.take_over(found)
    grown.update(np.append(seen, seen.mean()))
    assert grown.evidence.images == found.evidence.images == 1


def test_two_thousand_keyframes_take_two_milliseconds_an_image() -> None:
    size = 2000
    rng = np.random.default_rng(0)
    images = [similarities(row, rng, size) for row in range(40)]
    for motion in (None, Motion.planar(2.0)):
        found = KeyframeFilter(CONFIG, KeyframeTable.of(positioned(size)))
        times_s = []
        for image in images:
            begin = time.thread_time()
            found.update(image, motion=motion)
            times_s.append(time.thread_time() - begin)
        assert np.median(times_s) < 0.002

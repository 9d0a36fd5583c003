"""Which images are told to be the same, by their stamps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cerfevpr_ros.twins import Twins

stamps = st.lists(st.integers(1, 10**18), min_size=1, max_size=20, unique=True)


def served(twins: Twins, images: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return [image for image in images if not twins.has_come(*image)]


@given(stamps, st.randoms())
def test_an_image_that_comes_on_two_topics_in_any_order_is_served_once(numbers, chance):
    images = [(topic, number) for topic in ('raw', 'compressed') for number in numbers]
    chance.shuffle(images)
    assert sorted(number for _, number in served(Twins(), images)) == sorted(numbers)


@given(stamps, st.integers(2, 5))
def test_a_recording_that_is_played_again_is_served_again(numbers, num_loops):
    raw = [('raw', number) for number in numbers] * num_loops
    assert served(Twins(), raw) == raw


@given(stamps, st.integers(2, 5))
def test_a_recording_of_two_topics_that_is_played_again_is_served_once_each_time(
    numbers, num_loops
):
    both = [(topic, n) for n in numbers for topic in ('raw', 'compressed')] * num_loops
    assert served(Twins(), both) == [('raw', number) for number in numbers] * num_loops


def test_images_without_a_stamp_have_no_twins():
    images = [('raw', 0), ('compressed', 0), ('raw', 0)]
    assert served(Twins(), images) == images


def test_what_is_remembered_is_bounded():
    twins = Twins()
    served(twins, [('raw', number) for number in range(1, 100_000)])
    assert not twins.has_come('compressed', 1)
    assert twins.has_come('compressed', 99_999)

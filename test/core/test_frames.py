"""Frames of a folder, and their numbers."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from samples import picture, write_pictures

from cerfevpr_core.data.frames import EveryNth, FolderFrames, frame_number
from cerfevpr_core.errors import ImageError


def test_frames_come_in_natural_order_with_their_pixels(tmp_path):
    frames = list(FolderFrames(write_pictures(tmp_path / 'a', [2, 10, 9], '{}.png')))
    assert [f.name for f in frames] == ['2.png', '9.png', '10.png']
    np.testing.assert_array_equal(frames[2].image, picture(10))
    assert [f.stamp_ns for f in frames] == [0, 0, 0]


def test_frames_can_be_counted_and_read_again(pictures):
    frames = FolderFrames(pictures)
    assert len(frames) == 8
    assert [f.name for f in frames] == [f.name for f in frames]


def test_an_unreadable_frame_is_left_out_and_named_once(tmp_path, caplog):
    folder = write_pictures(tmp_path / 'a', range(3))
    (folder / '001.png').write_bytes(b'not a picture')
    frames = FolderFrames(folder)
    with caplog.at_level(logging.WARNING):
        assert [f.name for f in frames] == ['000.png', '002.png']
        assert [f.name for f in frames] == ['000.png', '002.png']
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f'left out: {folder / "001.png"}: ')
    assert set(frames.left_out) == {'001.png'}


def test_every_nth_frame_starts_at_the_first_that_is_asked_for(pictures):
    some = EveryNth(FolderFrames(pictures), first=1, every=3)
    assert [f.name for f in some] == ['001.png', '004.png', '007.png']
    assert len(some) == 3


@pytest.mark.parametrize(
    ('name', 'number'),
    [
        ('7.jpg', 7),
        ('Image007.jpg', 7),
        ('run2_00123.png', 123),
        ('12.5.jpg', 5),
        ('a10b.png', 10),
    ],
)
def test_the_number_of_a_frame_is_the_last_of_its_name(name, number):
    assert frame_number(name) == number


def test_a_name_without_a_number_says_what_else_there_is():
    with pytest.raises(ImageError, match=r'yard\.jp2 has no number in its name') as caught:
        frame_number('yard.jp2')
    assert '--radius-m and --positions' in str(caught.value)

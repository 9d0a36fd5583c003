"""Images of a folder, as RGB pixels and as tensors."""

from __future__ import annotations

import io
import os
import re

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from samples import picture

from cerfevpr_core.errors import ImageError
from cerfevpr_core.images import (
    check_image,
    list_images,
    natural_key,
    read_image,
    shrink,
    to_tensor,
)


def touch(folder, *names):
    for name in names:
        (folder / name).write_bytes(b'')
    return folder


def test_numbers_in_names_count_as_numbers(tmp_path):
    touch(tmp_path, '10.jpg', '9.jpg', 'a2b10.png', 'a2b9.png', 'a10b1.png', '1.JPEG')
    names = [f.name for f in list_images(tmp_path)]
    assert names == ['1.JPEG', '9.jpg', '10.jpg', 'a2b9.png', 'a2b10.png', 'a10b1.png']


def test_names_that_differ_only_in_leading_zeros_have_one_order(tmp_path):
    touch(tmp_path, '1.jpg', '01.jpg', '001.jpg')
    assert [f.name for f in list_images(tmp_path)] == ['001.jpg', '01.jpg', '1.jpg']


@pytest.mark.parametrize('name', ['5²3.jpg', '²', '٣.jpg', '½', 'é1', ''])
def test_any_name_has_a_place_in_the_order(name):
    assert sorted(['1.jpg', name, 'a.jpg'], key=natural_key)


def test_only_pictures_are_listed(tmp_path):
    touch(tmp_path, '1.jpg', '2.PNG', 'poses.txt', 'no_suffix')
    (tmp_path / 'folder.png').mkdir()
    assert [f.name for f in list_images(tmp_path)] == ['1.jpg', '2.PNG']


def test_a_folder_that_cannot_serve_says_why(tmp_path):
    file = tmp_path / 'file.jpg'
    touch(tmp_path, 'file.jpg')
    (tmp_path / 'empty').mkdir()
    for folder, expected in {
        tmp_path / 'gone': f'no folder {tmp_path / "gone"}; check the path',
        file: f'{file} is a file; expected a folder of images',
        tmp_path / 'empty': 'holds no images; expected files that end in jpg or png',
    }.items():
        with pytest.raises(ImageError, match=re.escape(expected)):
            list_images(folder)


def test_a_name_that_no_text_can_hold_is_refused(tmp_path):
    try:
        (tmp_path / os.fsdecode(b'caf\xe9.jpg')).write_bytes(b'')
    except OSError:
        pytest.skip('the file system takes UTF-8 names only')
    with pytest.raises(ImageError, match='is not UTF-8; rename the file'):
        list_images(tmp_path)


def test_a_file_that_is_no_picture_is_named(tmp_path):
    file = tmp_path / 'a.jpg'
    for content, expected in {
        b'': 'is empty',
        b'hello, I am text': 'neither JPEG nor PNG',
        b'\xff\xd8\xff\xe0' + bytes(64): 'neither JPEG nor PNG|damaged',
    }.items():
        file.write_bytes(content)
        with pytest.raises(ImageError, match=expected) as caught:
            read_image(file)
        assert str(caught.value).startswith(f'{file}: ')


def test_a_picture_that_is_cut_short_is_refused_and_named(tmp_path):
    buffer = io.BytesIO()
    PilImage.fromarray(picture(0)).save(buffer, 'JPEG')
    file = tmp_path / 'half.jpg'
    file.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    with pytest.raises(ImageError, match='cut short or damaged') as caught:
        read_image(file)
    assert str(file) in str(caught.value)


def test_a_missing_picture_is_named(tmp_path):
    file = tmp_path / 'gone.png'
    with pytest.raises(ImageError, match='No such file or directory; check the path') as caught:
        read_image(file)
    assert str(file) in str(caught.value)


def saved(folder, image: PilImage.Image):
    image.save(folder / 'picture.png')
    return read_image(folder / 'picture.png')


def test_grey_alpha_palette_and_16_bit_pictures_become_rgb(tmp_path):
    colour = PilImage.fromarray(picture(1))
    grey = np.asarray(colour.convert('L'))
    for mode in ('RGB', 'RGBA', 'L', 'LA', 'P', '1'):
        image = saved(tmp_path, colour.convert(mode))
        assert image.shape == (96, 128, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(saved(tmp_path, colour.convert('RGBA')), picture(1))
    np.testing.assert_array_equal(
        saved(tmp_path, colour.convert('L')), np.repeat(grey[..., None], 3, axis=2)
    )
    deep = saved(tmp_path, PilImage.fromarray(grey.astype(np.uint16) * 256 + 17))
    np.testing.assert_array_equal(deep, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize('size', [(64, 96), (224, 224), (33, 200)])
def test_a_tensor_has_the_height_and_width_that_were_asked_for(size):
    tensor = to_tensor(picture(2, 50, 200), size)
    assert tensor.shape == (3, *size)
    assert tensor.dtype == torch.float32
    assert tensor.min() >= 0 and tensor.max() <= 1


def test_resizing_keeps_what_is_left_and_right_and_each_channel():
    image = np.zeros((40, 80, 3), np.uint8)
    image[:, :40, 0], image[:20, :, 1] = 255, 255  # red on the left, green above
    red, green, blue = to_tensor(image, (32, 64))
    assert red[:, :30].mean() > 0.99 and red[:, 34:].mean() < 0.01
    assert green[:14].mean() > 0.99 and green[18:].mean() < 0.01
    assert blue.abs().max() == 0


def test_a_picture_of_the_right_size_keeps_its_values():
    image = picture(3, 64, 96)
    expected = torch.from_numpy(image).permute(2, 0, 1) / 255
    torch.testing.assert_close(to_tensor(image, (64, 96)), expected)


def test_pixels_that_are_no_rgb_image_are_refused():
    for wrong in (
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ):
        with pytest.raises(ImageError, match=r'expected RGB pixels, uint8 \(H, W, 3\), found'):
            to_tensor(wrong, (32, 32))
    for shape in ((0, 4, 3), (4, 0, 3)):
        with pytest.raises(
            ImageError, match=f'the image is empty: {shape[1]} x {shape[0]} pixels'
        ):
            to_tensor(np.zeros(shape, np.uint8), (32, 32))


def test_a_single_pixel_is_an_image():
    pixel = np.full((1, 1, 3), 7, np.uint8)
    assert check_image(pixel) is pixel
    torch.testing.assert_close(to_tensor(pixel, (32, 48)), torch.full((3, 32, 48), 7 / 255))


def test_shrinking_keeps_the_aspect_and_never_enlarges():
    assert shrink(picture(4, 100, 200), 50).shape == (25, 50, 3)
    assert shrink(picture(4, 20, 10), 50).shape == (20, 10, 3)

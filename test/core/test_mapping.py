"""Images -> a map: what is in it, what is left out, and what an interruption leaves."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage
from samples import tiny_config, write_pictures

from cerfevpr_core.data.frames import FolderFrames
from cerfevpr_core.data.positions import PoseTable
from cerfevpr_core.describer import Describer, evenly
from cerfevpr_core.errors import CerfeVPRError, ConfigError, ImageError, MapError
from cerfevpr_core.geometry import Camera
from cerfevpr_core.images import read_image
from cerfevpr_core.map_changes.whole import partial_of
from cerfevpr_core.mapping import Extras, add_to_map, build_map
from cerfevpr_core.place_map import PlaceMap


def vectors(folder: Path) -> dict[str, np.ndarray]:
    """Descriptors of a map by the name of their image."""
    with PlaceMap.open(folder) as place_map:
        names = {c.keyframe_id: c.name for c in place_map.store.everything()}
        return {names[i]: v for i, v in zip(*place_map.store.vectors(), strict=True)}


def test_every_image_becomes_a_keyframe_in_natural_order(built_map):
    with PlaceMap.open(built_map) as place_map:
        everything = place_map.store.everything()
        assert [c.name for c in everything] == [f'{i:03}.png' for i in range(8)]
        assert [c.keyframe_id for c in everything] == list(range(1, 9))
        assert place_map.check() == []
        thumbnail = PilImage.open(io.BytesIO(place_map.store.thumbnail(1)))
        assert thumbnail.size == (32, 24)


def test_descriptors_are_of_unit_length(built_map):
    for vector in vectors(built_map).values():
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_poses_camera_and_traverse_are_kept(pictures, weights, tmp_path):
    file = tmp_path / 'poses.txt'
    file.write_text('000.png 1 2 3 0 0 0 1\n002 4 5 6 0 0 1 0\n')
    extras = Extras('day', PoseTable(file), Camera(128, 96, 100, 100, 64, 48))
    build_map(FolderFrames(pictures), tmp_path / 'map', tiny_config(weights), extras)
    with PlaceMap.open(tmp_path / 'map') as place_map:
        first, second, third, *_ = place_map.store.everything()
        cameras = place_map.store.connection.execute('SELECT DISTINCT camera FROM keyframes')
        assert [('"width_px": 128' in row[0]) for row in cameras] == [True]
    assert (first.traverse, first.pose.position_m) == ('day', (1, 2, 3))
    assert second.pose is None  # not the identity
    assert third.pose.quaternion == (0, 0, 1, 0)


def test_descriptors_are_the_same_in_any_order_and_company(pictures, weights, built_map):
    describer = Describer(tiny_config(weights))
    for name, vector in reversed(vectors(built_map).items()):
        again = describer.describe(read_image(pictures / name))
        np.testing.assert_allclose(again, vector, atol=1e-6)


def test_more_images_continue_the_ids(small_map, weights, tmp_path):
    more = write_pictures(tmp_path / 'night', range(20, 23))
    config = tiny_config(weights)
    with PlaceMap.open(small_map) as place_map:
        count = add_to_map(
            place_map, Describer(config), FolderFrames(more), config, Extras('night')
        )
        added = place_map.store.everything()[8:]
        assert count == 3 and len(place_map) == 11
    assert [(c.keyframe_id, c.name, c.traverse) for c in added] == [
        (9, '020.png', 'night'),
        (10, '021.png', 'night'),
        (11, '022.png', 'night'),
    ]


def test_a_folder_that_holds_something_is_never_built_over(pictures, weights, small_map, tmp_path):
    (tmp_path / 'file').write_text('hello')
    for out in (small_map, tmp_path / 'file', tmp_path):
        with pytest.raises(MapError, match='exists and is not empty; choose another --out'):
            build_map(FolderFrames(pictures), out, tiny_config(weights))
    assert len(vectors(small_map)) == 8


def test_an_empty_folder_may_become_the_map(pictures, weights, tmp_path, monkeypatch):
    (tmp_path / 'map').mkdir()
    monkeypatch.chdir(tmp_path / 'map')
    assert build_map(FolderFrames(pictures), Path(), tiny_config(weights)) == 8
    assert len(vectors(tmp_path / 'map')) == 8


@pytest.mark.parametrize('method', ['grid', 'vlad'])
@pytest.mark.parametrize('error', [KeyboardInterrupt, ImageError, RuntimeError])
def test_an_interrupted_build_leaves_nothing(pictures, weights, tmp_path, method, error):
    def breaking(frames, what, count):
        for number, frame in enumerate(frames):
            if what == 'describing' and number == 5:
                raise error('stop')
            yield frame

    with pytest.raises(error):
        config = tiny_config(weights, method)
        build_map(FolderFrames(pictures), tmp_path / 'map', config, track=breaking)
    assert list(tmp_path.iterdir()) == []
    assert build_map(FolderFrames(pictures), tmp_path / 'map', config) == 8


def test_a_build_goes_past_what_a_killed_one_left(pictures, weights, tmp_path):
    left = partial_of(tmp_path / 'map')
    left.mkdir()
    (left / 'keyframes.sqlite').write_bytes(b'half')
    assert build_map(FolderFrames(pictures), tmp_path / 'map', tiny_config(weights)) == 8
    assert [f.name for f in tmp_path.iterdir()] == ['map']


def test_a_build_leaves_alone_what_a_user_has_under_a_name_like_its_own(
    pictures, weights, tmp_path
):
    own = tmp_path / 'map.partial'
    own.mkdir()
    (own / 'notes').write_text('mine')
    build_map(FolderFrames(pictures), tmp_path / 'map', tiny_config(weights))
    assert (own / 'notes').read_text() == 'mine'


@pytest.mark.parametrize('method', ['grid', 'vlad'])
def test_an_unreadable_image_among_good_ones_is_left_out_and_named(
    weights, tmp_path, caplog, method
):
    folder = write_pictures(tmp_path / 'images', range(4))
    (folder / '001.png').write_bytes(b'not a picture')
    with caplog.at_level(logging.WARNING):
        count = build_map(FolderFrames(folder), tmp_path / 'map', tiny_config(weights, method))
    assert count == 3
    assert sorted(vectors(tmp_path / 'map')) == ['000.png', '002.png', '003.png']
    assert [m for m in caplog.messages if str(folder / '001.png') in m] == caplog.messages
    assert len(caplog.messages) == 1


@pytest.mark.parametrize('method', ['grid', 'vlad'])
def test_images_of_which_none_can_be_read_make_no_map(weights, tmp_path, method):
    folder = tmp_path / 'images'
    folder.mkdir()
    (folder / 'a.png').write_bytes(b'not a picture')
    with pytest.raises(CerfeVPRError, match='none of the images could be read'):
        build_map(FolderFrames(folder), tmp_path / 'map', tiny_config(weights, method))
    assert [f.name for f in tmp_path.iterdir()] == ['images']


def test_too_few_images_for_a_vocabulary_say_so(weights, tmp_path):
    folder = write_pictures(tmp_path / 'images', range(1))
    config = tiny_config(weights, 'vlad', vlad__num_clusters=1000)
    with pytest.raises(MapError, match=r'fewer than vlad.num_clusters = 1000; add images'):
        build_map(FolderFrames(folder), tmp_path / 'map', config)


def test_a_vocabulary_is_the_same_each_time(pictures, weights, tmp_path):
    config = tiny_config(weights, 'vlad')
    for name in ('a', 'b'):
        build_map(FolderFrames(pictures), tmp_path / name, config)
    first, second = vectors(tmp_path / 'a'), vectors(tmp_path / 'b')
    for name, vector in first.items():
        np.testing.assert_allclose(vector, second[name], atol=1e-5)


def test_a_setting_that_does_not_fit_stops_before_anything_is_written(pictures, weights, tmp_path):
    config = tiny_config(weights, backbone__layer=99)
    with pytest.raises(ConfigError, match=r'backbone\.layer = 99: test_resnet has layers 0 to 4'):
        build_map(FolderFrames(pictures), tmp_path / 'map', config)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('count', 'limit', 'expected'),
    [
        (3, 5, [0, 1, 2]),
        (5, 5, [0, 1, 2, 3, 4]),
        (9, 3, [0, 4, 8]),
        (10, 1, [0]),
        (0, 3, []),
    ],
)
def test_a_sample_is_spread_evenly(count, limit, expected):
    assert evenly(count, limit) == expected

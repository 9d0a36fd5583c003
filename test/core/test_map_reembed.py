"""A map is described again: by another model, or fitted to its own images."""

from __future__ import annotations

import logging
import shutil

import numpy as np
import pytest
from maps import refused
from samples import filled, picture, tiny_config, tiny_settings, write_tiny_weights

from cerfevpr_core.config import load_config
from cerfevpr_core.data.frames import FolderFrames
from cerfevpr_core.errors import ImageError
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.map_changes.merge import merge_maps
from cerfevpr_core.map_changes.reembed import reembed_map
from cerfevpr_core.map_model import create_live_map, map_settings, matching_describer
from cerfevpr_core.mapping import Extras, build_map
from cerfevpr_core.place_map import FIT, Keyframe, PlaceMap
from cerfevpr_core.recognizer import PlaceRecognizer


def kept(keyframe: Keyframe) -> tuple[object, ...]:
    """What a new description leaves as it was."""
    return (
        keyframe.name,
        keyframe.external_id,
        keyframe.traverse,
        keyframe.stamp_ns,
        keyframe.pose,
        keyframe.camera,
        keyframe.thumbnail,
        keyframe.size_px,
        keyframe.local_features.get('keypoints'),
        keyframe.has_points,
    )


@pytest.fixture
def old(small_map):
    """A map with poses, keypoints and an id that was removed."""
    with PlaceMap.open(small_map) as place_map:
        first = place_map.store.keyframe(1)
        more = Keyframe(
            '003.png',
            first.descriptors,
            'kf:9',
            'day',
            77,
            Pose((1.0, 2.0, 3.0), (0.0, 0.0, 0.6, 0.8)),
            Camera(128, 96, 100.0, 100.0, 64.0, 48.0),
            first.thumbnail,
            (96, 128),
            {'keypoints': b'as they are'},
            True,
        )
        place_map.add([more, more.__class__('gone', first.descriptors)])
        place_map.remove([2, 10])
    return small_map


def test_another_model_describes_the_original_images_and_all_else_stays(
    old, pictures, weights, tmp_path, caplog
):
    def other(base):
        return load_config(overrides={'method': 'gem'}, base=base)

    with caplog.at_level(logging.WARNING):
        assert reembed_map(old, tmp_path / 'new', other, pictures) == 8
    assert 'thumbnails' not in caplog.text
    with PlaceMap.open(old) as before, PlaceMap.open(tmp_path / 'new') as after:
        ids = after.store.ids().tolist()
        assert ids == before.store.ids().tolist() == [1, 3, 4, 5, 6, 7, 8, 9]
        for number in ids:
            assert kept(after.store.keyframe(number)) == kept(before.store.keyframe(number))
        assert after.check() == [] and after.derived.saved
        assert after.manifest.fingerprint != before.manifest.fingerprint
        describer = matching_describer(load_config(base=map_settings(tmp_path / 'new')), after)
        np.testing.assert_allclose(
            after.store.keyframe(4).descriptors[0], describer.describe(picture(3)), atol=1e-6
        )
        assert after.add([Keyframe('x', after.store.keyframe(1).descriptors)]) == [11]
    recognizer = PlaceRecognizer.load(tmp_path / 'new')
    assert recognizer.recognize(picture(5)).candidates[0].name == '005.png'
    recognizer.close()


def test_without_the_images_thumbnails_are_described_and_that_is_said(old, pictures, caplog):
    some = old.parent / 'some'
    some.mkdir()
    for number in (0, 3):
        shutil.copy(pictures / f'{number:03}.png', some)
    with caplog.at_level(logging.WARNING):
        reembed_map(old, old.parent / 'new', images=some)
    assert '5 of 8 keyframes were described from their thumbnails' in caplog.text
    with PlaceMap.open(old) as before, PlaceMap.open(old.parent / 'new') as after:
        same = [
            np.allclose(*(m.store.keyframe(i).descriptors for m in (before, after)), atol=1e-6)
            for i in (1, 3, 4)
        ]
    assert same == [True, False, True]


def test_a_keyframe_without_any_picture_is_refused_and_no_map_is_made(weights, pictures, tmp_path):
    build_map(FolderFrames(pictures), tmp_path / 'a', tiny_config(weights, map__thumbnail_px=0))
    text = refused(reembed_map, tmp_path / 'a', tmp_path / 'new')
    assert 'keyframe 1, 000.png, has no thumbnail and no image in --images' in text
    assert [f.name for f in tmp_path.iterdir()] == ['a']


def test_a_thumbnail_that_is_damaged_is_named(old):
    with PlaceMap.open(old) as place_map, place_map.store.writing() as connection:
        connection.execute("UPDATE keyframes SET thumbnail = x'ff' WHERE id = 4")
    with pytest.raises(ImageError, match='the thumbnail of keyframe 4'):
        reembed_map(old, old.parent / 'new')
    assert not (old.parent / 'new').exists() and not list(old.parent.glob('.*partial'))


def test_a_live_map_is_fitted_to_its_own_images(universal, tmp_path):
    create_live_map(tmp_path / 'live', universal)
    with PlaceMap.open(tmp_path / 'live') as place_map:
        assert place_map.manifest.settings[FIT] == 'universal'
        describer = matching_describer(universal, place_map)
    filled(tmp_path / 'live', describer, range(8))
    reembed_map(tmp_path / 'live', tmp_path / 'new')
    with PlaceMap.open(tmp_path / 'new') as place_map:
        assert place_map.manifest.descriptor_dim == 16
        assert place_map.manifest.fitted['basis'].shape == (16, 72)
        assert FIT not in place_map.manifest.settings
        assert len(place_map) == 8


def test_maps_that_were_fitted_apart_are_merged_after_one_takes_the_fit_of_the_other(
    trained, tmp_path, pictures
):
    config = trained()
    for name in ('a', 'b'):
        frames = list(FolderFrames(pictures))[:5] if name == 'a' else FolderFrames(pictures)
        build_map(frames, tmp_path / name, config, Extras(name))
    text = refused(merge_maps, [tmp_path / 'a', tmp_path / 'b'], tmp_path / 'c')
    assert f'map reembed {tmp_path / "b"} --like {tmp_path / "a"} --out NEW' in text
    reembed_map(tmp_path / 'b', tmp_path / 'new', images=pictures, like=tmp_path / 'a')
    assert merge_maps([tmp_path / 'a', tmp_path / 'new'], tmp_path / 'c') == 13
    with PlaceMap.open(tmp_path / 'c') as place_map:
        found = [place_map.store.keyframe(i) for i in (2, 7)]
        assert found[0].name == found[1].name == '001.png'
        np.testing.assert_allclose(found[0].descriptors, found[1].descriptors, atol=1e-6)


def test_like_a_map_of_a_model_that_the_settings_contradict_is_refused(old, weights, tmp_path):
    def other(base):
        return load_config(overrides={'method': 'gem'}, base=base)

    text = refused(reembed_map, old, tmp_path / 'new', other, None, old)
    assert 'leave out --set and --config, or --like' in text


def test_another_detector_is_refused_because_keypoints_stay(old, tmp_path):
    def other(base):
        return load_config(overrides={'verification.num_keypoints': 99}, base=base)

    text = refused(reembed_map, old, tmp_path / 'new', other)
    assert 'verification.num_keypoints is 99, but the keypoints of the map stay' in text


def test_an_empty_map_has_nothing_to_describe(weights, tmp_path):
    create_live_map(tmp_path / 'live', tiny_config(weights))
    assert 'is empty; there is nothing' in refused(
        reembed_map, tmp_path / 'live', tmp_path / 'new'
    )


def test_a_foreign_model_is_told_of_the_command_that_helps(small_map, tmp_path):
    foreign = write_tiny_weights(tmp_path / 'foreign.safetensors', seed=5)
    text = refused(PlaceRecognizer.load, small_map, None, (), tiny_settings(foreign))
    assert f'`cerfevpr map reembed {small_map} --out NEW`' in text

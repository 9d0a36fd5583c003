"""Several maps become one."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
from maps import DIM, refused
from samples import unit_vectors

from cerfevpr_core.errors import MapError
from cerfevpr_core.geometry import Camera, Pose
from cerfevpr_core.map_changes.merge import merge_maps
from cerfevpr_core.place_map import Keyframe, Manifest, PlaceMap

SETTINGS = {'method': 'grid', 'landmarks.selection': 'none', 'verification.mode': 'never'}


def made(
    folder: Path, count: int, seed: int, manifest: Manifest | None = None, **more: object
) -> list[Keyframe]:
    """A map with keyframes that have everything; its second keyframe was removed."""
    keyframes = [
        Keyframe(
            f'{seed}-{i}.jpg',
            unit_vectors(1 + i % 2, DIM, seed=100 * seed + i),
            f'kf{seed}-{i}',
            f'traverse{seed}',
            1000 * seed + i,
            Pose((float(i), 2.0, 3.0), (0.0, 0.0, 0.6, 0.8)) if i % 3 else None,
            Camera(64, 48, 50.0, 50.0, 32.0, 24.0) if i % 2 else None,
            bytes([seed, i]),
            (48, 64),
            {'landmarks': bytes([i, 1]), 'keypoints': bytes([i, 2])},
            bool(i % 2),
        )
        for i in range(count)
    ]
    keyframes = [dataclasses.replace(keyframe, **more) for keyframe in keyframes]
    manifest = manifest or Manifest('model', SETTINGS, DIM)
    with PlaceMap.create(folder, manifest) as place_map:
        place_map.remove(place_map.add(keyframes)[1:2])
    return [keyframe for i, keyframe in enumerate(keyframes) if i != 1]


def same(found: Keyframe, expected: Keyframe) -> bool:
    alike = dataclasses.replace(found, descriptors=expected.descriptors)
    return alike == expected and np.array_equal(found.descriptors, expected.descriptors)


def test_a_merged_map_has_all_keyframes_with_all_that_was_kept(tmp_path):
    expected = made(tmp_path / 'a', 5, 1) + made(tmp_path / 'b', 70, 2)
    assert merge_maps([tmp_path / 'a', tmp_path / 'b'], tmp_path / 'c') == len(expected) == 73
    with PlaceMap.open(tmp_path / 'c') as merged, PlaceMap.open(tmp_path / 'a') as first:
        assert merged.store.ids().tolist() == list(range(1, 74))
        found = [merged.store.keyframe(i) for i in range(1, 74)]
        assert all(same(*pair) for pair in zip(found, expected, strict=True))
        assert merged.traverses() == ['traverse1', 'traverse2']
        assert merged.find('kf2-3') == 4 + 3
        assert merged.search(expected[20].descriptors[0], 1)[0].name == expected[20].name
        assert merged.manifest.map_id != first.manifest.map_id
        assert merged.check() == [] and merged.derived.saved
    assert not list(tmp_path.glob('.*partial'))


def test_an_external_id_in_two_maps_is_refused_or_gets_the_name_of_its_map(tmp_path):
    for name in ('a', 'b'):
        made(tmp_path / name, 3, 1)
    sources = [tmp_path / 'a', tmp_path / 'b']
    text = refused(merge_maps, sources, tmp_path / 'c')
    assert "has the external_id 'kf1-0' already" in text and not (tmp_path / 'c').exists()
    assert merge_maps(sources, tmp_path / 'c', True) == 4
    with PlaceMap.open(tmp_path / 'c') as merged:
        assert (merged.find('a:kf1-0'), merged.find('b:kf1-0')) == (1, 3)


def test_keyframes_without_an_external_id_never_clash(tmp_path):
    for name in ('a', 'b'):
        made(tmp_path / name, 3, 1, external_id='')
    assert merge_maps([tmp_path / 'a', tmp_path / 'b'], tmp_path / 'c', True) == 4
    with PlaceMap.open(tmp_path / 'c') as merged:
        assert {c.external_id for c in merged.store.everything()} == {''}


@pytest.mark.parametrize(
    ('other', 'expected'),
    [
        (Manifest('other', SETTINGS, DIM), 'was made by model other, that at'),
        (Manifest('model', SETTINGS, DIM, {'words': unit_vectors(2)}), 'fitted to their own'),
        (
            Manifest('model', SETTINGS | {'verification.mode': 'always'}, DIM),
            'has verification.mode always',
        ),
    ],
)
def test_maps_that_cannot_be_compared_are_refused(tmp_path, other, expected):
    made(tmp_path / 'a', 3, 1)
    made(tmp_path / 'b', 3, 2, other)
    text = refused(merge_maps, [tmp_path / 'a', tmp_path / 'b'], tmp_path / 'c')
    assert expected in text
    if 'mode' not in expected:
        command = f'`cerfevpr map reembed {tmp_path / "b"} --like {tmp_path / "a"} --out NEW`'
        assert command in text
    assert not (tmp_path / 'c').exists()


def with_weights(file: Path | str) -> Manifest:
    settings = SETTINGS | {'landmarks.selection': 'lln', 'landmarks.weights': str(file)}
    return Manifest('model', settings, DIM)


def test_landmarks_of_different_networks_are_not_merged(tmp_path):
    for name, content in (('one', b'1'), ('copy', b'1'), ('two', b'2')):
        (tmp_path / name).write_bytes(content)
        made(tmp_path / f'map {name}', 3, len(name) + content[0], with_weights(tmp_path / name))
    made(tmp_path / 'shipped', 3, 1, with_weights(''))
    made(tmp_path / 'gone', 3, 2, with_weights(tmp_path / 'elsewhere'))
    first = tmp_path / 'map one'
    assert merge_maps([first, tmp_path / 'map copy'], tmp_path / 'c') == 4
    for name in ('map two', 'shipped', 'gone'):
        text = refused(merge_maps, [first, tmp_path / name], tmp_path / 'd')
        assert f'{tmp_path / name} was made with landmarks.weights' in text
        assert f'--like {first}' in text and not (tmp_path / 'd').exists()


def test_keypoints_of_different_weights_are_not_merged(tmp_path):
    kept = SETTINGS | {'verification.mode': 'always', 'verification.detector': 'xfeat'}
    for number, file in enumerate(('', 'own.pt')):
        manifest = Manifest('model', kept | {'verification.weights': file}, DIM)
        made(tmp_path / f'{number}', 3, number + 1, manifest)
    text = refused(merge_maps, [tmp_path / '0', tmp_path / '1'], tmp_path / 'c')
    assert 'with verification.weights own.pt' in text and 'the default weights' in text
    assert 'build one of them again' in text


def test_a_merge_never_overwrites_and_never_takes_a_map_twice(tmp_path):
    for number, name in enumerate('abc'):
        made(tmp_path / name, 3, number + 1)
    sources = [tmp_path / 'a', tmp_path / 'b']
    assert 'exists and is not empty' in refused(merge_maps, sources, tmp_path / 'c')
    assert 'named twice' in refused(merge_maps, [tmp_path / 'a'] * 2, tmp_path / 'd')


def test_a_damaged_map_is_not_merged(tmp_path):
    made(tmp_path / 'a', 3, 1), made(tmp_path / 'b', 3, 2)
    with PlaceMap.open(tmp_path / 'b') as place_map, place_map.store.writing() as connection:
        connection.execute("UPDATE local_features SET content = x'00' WHERE keyframe_id = 3")
    text = refused(merge_maps, [tmp_path / 'a', tmp_path / 'b'], tmp_path / 'c')
    assert 'keyframe 3 has changed since it was written' in text
    assert not (tmp_path / 'c').exists() and not list(tmp_path.glob('.*partial'))


def test_calibrations_are_left_behind_and_that_is_said(tmp_path, caplog):
    made(tmp_path / 'a', 3, 1), made(tmp_path / 'b', 3, 2)
    with PlaceMap.open(tmp_path / 'a') as place_map:
        place_map.set_calibration(b'x')
    with caplog.at_level(logging.WARNING):
        merge_maps([tmp_path / 'a', tmp_path / 'b'], tmp_path / 'c')
    assert 'calibrate the new map' in caplog.text
    with PlaceMap.open(tmp_path / 'c') as merged:
        assert merged.calibration() is None


def test_an_unknown_keyframe_cannot_be_read(tmp_path):
    made(tmp_path / 'a', 3, 1)
    with PlaceMap.open(tmp_path / 'a') as place_map, pytest.raises(MapError, match='keyframe 2'):
        place_map.store.keyframe(2)

"""From images, poses and depth to the pose of another image, by the commands a user types."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PilImage
from samples import assignments, error_of, picture, tiny_settings

from cerfevpr_core.data.depth_images import DepthImages
from cerfevpr_core.data.drawn_route import DrawnRoute, write_traverse
from cerfevpr_core.data.positions import PoseTable, read_camera
from cerfevpr_core.errors import ConfigError, ImageError, MapError
from cerfevpr_core.images import read_image
from cerfevpr_core.recognizer import PlaceRecognizer


@pytest.fixture(scope='module')
def street(tmp_path_factory) -> Path:
    """A drawn street, its frames once with depth and once from aside."""
    folder = tmp_path_factory.mktemp('street')
    route = DrawnRoute(num_frames=6)
    write_traverse(route, folder / 'day', 'summer', depth=True)
    write_traverse(route, folder / 'aside', 'summer', 'shifted')
    return folder


@pytest.fixture(scope='module')
def known(street, weights) -> list[object]:
    """Arguments of a map with depth: ORB, which needs no weights."""
    small = tiny_settings(weights) | {
        'verification.detector': 'orb',
        'verification.num_candidates': 6,
        'landmarks.selection': 'all',
    }
    day = street / 'day'
    truth = ['--poses', day / 'poses.txt', '--camera', day / 'camera.yaml']
    return ['--images', day, '--depth', day / 'depth', *truth, *assignments(small)]


@pytest.fixture
def depth_map(run, known, tmp_path) -> Path:
    assert run('map', 'build', '--out', tmp_path / 'map', *known)[0] == 0
    return tmp_path / 'map'


def test_an_image_from_aside_gets_its_pose_in_the_map(run, depth_map, street, tmp_path) -> None:
    aside, file = street / 'aside', tmp_path / 'answers.json'
    camera = ['--camera', aside / 'camera.yaml']
    code, told, _ = run('localize', depth_map, '--images', aside, *camera, '--json', file)
    assert code == 0 and ' m\n' in told
    truth = PoseTable(aside / 'poses.txt')
    posed = 0
    for answer in json.loads(file.read_text())['images']:
        if answer['pose'] is None:
            assert answer['pose_reason']
            continue
        posed += 1
        pose = truth.find(answer['image'])
        assert pose is not None
        assert math.dist(answer['pose']['pose'][:3], pose.position_m) < 0.25
        covariance = np.array(answer['pose']['covariance'])
        assert covariance.shape == (6, 6) and np.linalg.eigvalsh(covariance).min() > 0
        seen = [c for c in answer['candidates'] if c['pose'] is not None]
        assert seen and all(c['verified'] and c['num_inliers'] >= 15 for c in seen)
        assert {c['keyframe_id'] for c in seen} <= set(answer['pose']['keyframe_ids'])
        assert 'verify' in answer['stage_ms']
    assert posed >= 5


def test_without_a_camera_the_maps_own_is_taken_and_that_is_said(
    depth_map, street, caplog
) -> None:
    recognizer = PlaceRecognizer.load(depth_map)
    image = read_image(street / 'aside' / '000002.jpg')
    with_own = recognizer.recognize(image, camera=read_camera(street / 'aside' / 'camera.yaml'))
    without = recognizer.recognize(image)
    assert without.pose is not None and with_own.pose is not None
    assert without.pose.pose == with_own.pose.pose
    assert "the map's own is taken" in caplog.text
    larger = cv2.resize(image, (640, 480))  # no camera of the map has such images
    assert recognizer.recognize(larger).pose_reason == 'the intrinsics of the camera are unknown'


def test_another_place_gets_no_pose_and_a_reason(depth_map, street) -> None:
    recognizer = PlaceRecognizer.load(depth_map)
    camera = read_camera(street / 'day' / 'camera.yaml')
    elsewhere = DrawnRoute(seed=7, num_frames=2).frame(1).image
    for image in (elsewhere, picture(3, 240, 320), np.zeros((240, 320, 3), np.uint8)):
        answer = recognizer.recognize(image, camera=camera)
        assert answer.pose is None and answer.pose_reason
        assert not any(c.verified for c in answer.candidates)
        assert all(c.reject_reason for c in answer.candidates)


def test_without_depth_candidates_are_verified_but_there_is_no_metric_pose(
    run, street, weights, tmp_path
) -> None:
    day = street / 'day'
    small = tiny_settings(weights) | {
        'verification.detector': 'orb',
        'verification.mode': 'always',
    }
    truth = ['--poses', day / 'poses.txt', '--camera', day / 'camera.yaml']
    arguments = ['--images', day, *truth, *assignments(small)]
    assert run('map', 'build', '--out', tmp_path / 'map', *arguments)[0] == 0
    recognizer = PlaceRecognizer.load(tmp_path / 'map')
    answer = recognizer.recognize(read_image(day / '000003.jpg'))
    assert answer.candidates[0].verified and not answer.candidates[0].scale_known
    assert answer.pose is None
    assert answer.pose_reason == 'scale unknown: the keyframes have no 3-D points'


def test_images_added_later_have_keypoints_too(run, depth_map, street) -> None:
    more = street / 'aside'
    truth = ['--poses', more / 'poses.txt', '--camera', more / 'camera.yaml']
    assert run('map', 'add', depth_map, '--images', more, *truth)[0] == 0
    recognizer = PlaceRecognizer.load(depth_map)
    answer = recognizer.recognize(read_image(more / '000001.jpg'))
    own = next(c for c in answer.candidates if c.keyframe_id == 8)
    assert own.verified


def test_depth_that_would_be_lost_is_refused(run, fails, street, small_map, known) -> None:
    day = street / 'day'
    text = fails('map', 'add', small_map, *known[:8])
    assert 'the map keeps no keypoints, so depth would be lost' in text
    text = fails('map', 'build', '--images', day, '--depth', day / 'depth', '--out', 'm')
    assert '--depth needs --camera and --poses' in text
    text = error_of(MapError, PlaceRecognizer.load, small_map, None, ('verification.mode=always',))
    assert 'the map keeps no keypoints to verify with' in text


def test_depth_images_are_metres_and_unknown_is_zero(tmp_path) -> None:
    values = np.array([[1500, 0], [65535, 250]], np.uint16)
    cv2.imwrite(str(tmp_path / '000007.png'), values)
    found = DepthImages(tmp_path).find('000007.jpg')
    assert found is not None and found.tolist() == [[1.5, 0], [0, 0.25]]
    assert DepthImages(tmp_path).find('000008.jpg') is None


def test_what_is_no_depth_image_is_named(tmp_path) -> None:
    assert 'no depth images in' in error_of(ConfigError, DepthImages, tmp_path)
    PilImage.fromarray(picture(0)).save(tmp_path / '1.png')
    (tmp_path / '2.png').write_bytes(b'nothing')
    images = DepthImages(tmp_path)
    assert 'it is uint8 of shape' in error_of(ImageError, images.find, '1.jpg')
    assert 'it is no png' in error_of(ImageError, images.find, '2.jpg')

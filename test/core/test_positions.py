"""Pose, camera and position files: what they give, and what a wrong line is told."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from samples import error_of

from cerfevpr_core.data.positions import (
    PoseTable,
    position_in_name,
    read_camera,
    read_positions,
)
from cerfevpr_core.errors import ConfigError

refused = partial(error_of, ConfigError)

CALIBRATION = """\
image_width: 640
image_height: 480
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [500, 0, 320, 0, 510, 240, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.2, 0.001, 0.002, 0]}
"""


@pytest.fixture
def write(tmp_path):
    def _write(content: str | bytes, name: str = 'file.txt'):
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return _write


def test_a_pose_is_found_by_file_name_and_by_its_stem(write):
    poses = PoseTable(write('# comment\n\na.jpg 1 2 3 0 0 0 1\nb 4 5 6 0 0 1 0\n'))
    assert poses.find('a.jpg').position_m == (1, 2, 3)
    assert poses.find('b.png').quaternion == (0, 0, 1, 0)
    assert poses.find('c.jpg') is None


def test_a_pose_is_found_by_the_nearest_stamp_within_a_twentieth_of_a_second(write):
    poses = PoseTable(write('12.00 3 0 0 0 0 0 1\n10.00 1 0 0 0 0 0 1\n10.03 2 0 0 0 0 0 1\n'))
    assert poses.find('frame', 10_020_000_000).position_m[0] == 2
    assert poses.find('frame', 10_010_000_000).position_m[0] == 1
    assert poses.find('frame', 12_049_000_000).position_m[0] == 3
    assert poses.find('frame', 12_051_000_000) is None
    assert poses.find('10.041.png').position_m[0] == 2  # the stamp is the name
    assert poses.find('frame') is None


def test_a_stamp_that_is_written_in_two_ways_is_still_one_table(write):
    poses = PoseTable(write('1.0 1 0 0 0 0 0 1\n1.00 2 0 0 0 0 0 1\n'))
    assert poses.find('frame', 1_000_000_000) is not None


def test_a_quaternion_that_is_nearly_unit_is_made_so(write):
    pose = PoseTable(write('a 0 0 0 0 0 0.72 0.72')).find('a')
    assert np.linalg.norm(pose.quaternion) == pytest.approx(1)


@pytest.mark.parametrize(
    ('line', 'expected'),
    [
        ('b 1 2 3', "line 3: expected `name x y z qx qy qz qw`, found 'b 1 2 3'"),
        ('b 1 2 3 0 0 0 1 9', 'line 3: expected `name x y z qx qy qz qw`'),
        ('b 1 2 x 0 0 0 1', 'line 3: expected `name x y z qx qy qz qw`'),
        ('b 1 2 3 0 0 0 0', 'line 3: expected finite numbers and a unit quaternion (x, y, z, w)'),
        ('b 1 2 3 1 1 0 0', 'found length 1.41'),
        ('b nan 2 3 0 0 0 1', 'line 3: expected finite numbers'),
        ('b 1 2 3 0 0 nan 1', 'line 3: expected finite numbers'),
    ],
)
def test_a_line_that_is_no_pose_is_named(write, line, expected):
    file = write(f'# poses\na 0 0 0 0 0 0 1\n{line}\n')
    text = refused(PoseTable, file)
    assert expected in text and str(file) in text


def test_a_file_without_poses_is_refused(write, tmp_path):
    assert 'holds no poses' in refused(PoseTable, write('# nothing\n'))
    assert 'is not a text file' in refused(PoseTable, write(b'\xff\xfe\x80'))
    gone = tmp_path / 'gone.txt'
    assert refused(PoseTable, gone) == (
        f'cannot read {gone}: No such file or directory; check the path'
    )


def test_a_calibration_gives_the_camera(write):
    camera = read_camera(write(CALIBRATION))
    assert (camera.width_px, camera.height_px) == (640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (500, 510, 320, 240)
    assert camera.distortion == (0.1, -0.2, 0.001, 0.002, 0)


@pytest.mark.parametrize(
    'text',
    [
        '',
        'hello',
        '[1, 2]',
        'image_width: [',
        CALIBRATION.replace('image_width', 'width'),
        CALIBRATION.replace('data: [500, 0, 320, 0, 510, 240, 0, 0, 1]', 'data: [500]'),
        CALIBRATION.replace('510', 'abc'),
    ],
)
def test_a_file_that_is_no_calibration_says_what_one_holds(write, text):
    file = write(text)
    told = refused(read_camera, file)
    assert told.startswith(f'{file} is not a ROS camera calibration')
    assert 'expected image_width, image_height, camera_matrix' in told


def test_a_camera_that_was_never_calibrated_is_refused(write):
    empty = CALIBRATION.replace('500, 0, 320, 0, 510, 240, 0, 0, 1', '0, 0, 0, 0, 0, 0, 0, 0, 0')
    assert 'calibrate the camera' in refused(read_camera, write(empty))


def test_a_fisheye_camera_is_refused(write):
    text = refused(read_camera, write(CALIBRATION.replace('plumb_bob', 'equidistant')))
    assert 'distortion_model equidistant is not supported; rectify the images' in text


def test_positions_are_read_by_name_in_any_order_of_columns(write):
    file = write('\ufeffy_m,name,x_m,note\n2,a.jpg,1,here\n-4.5,b.jpg,3e1,\n')
    assert read_positions(file) == {'a.jpg': (1, 2), 'b.jpg': (30, -4.5)}


def test_positions_that_cannot_be_read_say_where(write, tmp_path):
    file = write('name,x,y\na,1,2\n')
    assert refused(read_positions, file) == (
        f'{file}: expected the columns name,x_m,y_m, found name,x,y'
    )
    assert 'expected the columns name,x_m,y_m, found ' in refused(read_positions, write(''))
    for line in ('b,1', 'b,1,east', 'b,1,nan', 'b,inf,1'):
        text = refused(read_positions, write(f'name,x_m,y_m\na,1,2\n{line}\n'))
        assert 'line 3 does not hold two numbers' in text
    assert 'check the path' in refused(read_positions, tmp_path / 'gone.csv')


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('@543000.5@4180000.25@10@S@x@.jpg', (543000.5, 4180000.25)),
        ('@1@2@.jpg', (1, 2)),
        ('@1@.jpg', None),
        ('image.jpg', None),
        ('@east@north@.jpg', None),
    ],
)
def test_utm_positions_are_read_from_names(name, expected):
    assert position_in_name(name) == expected

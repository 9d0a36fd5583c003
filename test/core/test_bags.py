"""Images of bags that are written here, with every storage and both message types."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from cerfevpr_core.data.bags import BagImageTopic, bag_image_topics, read_bag
from cerfevpr_core.errors import ImageError

STORE = get_typestore(Stores.ROS2_JAZZY)
TYPES = STORE.types
START_NS = 1_700_000_000_000_000_123
IMAGES = list(np.random.default_rng(0).integers(0, 256, (4, 6, 8, 3), np.uint8))


def image_message(image: np.ndarray, stamp_ns: int, encoding: str):
    """A sensor_msgs/Image in rgb8 or bgr8, or a CompressedImage for an encoding `png`."""
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    stamp = TYPES['builtin_interfaces/msg/Time'](sec, nanosec)
    header = TYPES['std_msgs/msg/Header'](stamp, 'camera')
    if encoding == 'png':
        data = cv2.imencode('.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
        return TYPES['sensor_msgs/msg/CompressedImage'](header, 'png', data.reshape(-1))
    pixels = np.ascontiguousarray(image if encoding == 'rgb8' else image[..., ::-1]).reshape(-1)
    height, width = image.shape[:2]
    make = TYPES['sensor_msgs/msg/Image']
    return make(header, height, width, encoding, 0, 3 * width, pixels)


def write_bag(path, topics, encoding='rgb8', storage='sqlite3', stamped=True, compression='NONE'):
    """A bag with {topic: images}; an image given as bytes is written as the message itself."""
    kind = f'sensor_msgs/msg/{"CompressedImage" if encoding == "png" else "Image"}'
    writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(CompressionMode[compression], CompressionFormat.ZSTD)
    with writer:
        for topic, images in topics.items():
            connection = writer.add_connection(topic, kind, typestore=STORE)
            for number, image in enumerate(images):
                stamp_ns = START_NS + number * 50_000_000
                data = image
                if not isinstance(image, bytes):
                    message = image_message(image, stamp_ns if stamped else 0, encoding)
                    data = STORE.serialize_cdr(message, kind)
                writer.write(connection, stamp_ns + 7, data)
    return path


def add_topic(path: Path, topic: str, kind: str, message) -> Path:
    """A bag with one message that is no image."""
    with Writer(path, version=9) as writer:
        connection = writer.add_connection(topic, kind, typestore=STORE)
        writer.write(connection, START_NS, STORE.serialize_cdr(message, kind))
    return path


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'png'])
def test_a_bag_gives_its_images_in_order_with_the_stamps_of_their_headers(
    tmp_path, storage, encoding
):
    bag = write_bag(tmp_path / 'bag', {'/camera': IMAGES}, encoding, storage)
    assert bag_image_topics(bag) == [BagImageTopic('/camera', encoding == 'png', 4)]
    frames = list(read_bag(bag))
    assert [frame.name for frame in frames] == ['000000', '000001', '000002', '000003']
    assert [frame.stamp_ns for frame in frames] == [START_NS + n * 50_000_000 for n in range(4)]
    np.testing.assert_array_equal([frame.image for frame in frames], IMAGES)


@pytest.mark.parametrize('compression', ['FILE', 'MESSAGE'])
def test_a_bag_that_was_recorded_with_compression_is_read(tmp_path, compression):
    bag = write_bag(tmp_path / 'bag', {'/camera': IMAGES}, compression=compression)
    np.testing.assert_array_equal([frame.image for frame in read_bag(bag)], IMAGES)


@pytest.mark.parametrize(('storage', 'suffix'), [('sqlite3', '.db3'), ('mcap', '.mcap')])
def test_one_file_of_a_bag_is_read_without_its_metadata(tmp_path, storage, suffix):
    bag = write_bag(tmp_path / 'bag', {'/camera': IMAGES}, storage=storage)
    file = shutil.move(next(bag.glob(f'*{suffix}')), tmp_path / f'alone{suffix}')
    np.testing.assert_array_equal([frame.image for frame in read_bag(str(file))], IMAGES)


def test_a_ros1_bag_is_read(tmp_path):
    ros1 = get_typestore(Stores.ROS1_NOETIC)
    header = ros1.types['std_msgs/msg/Header'](
        0, ros1.types['builtin_interfaces/msg/Time'](5, 6), ''
    )
    kind = 'sensor_msgs/msg/Image'
    message = ros1.types[kind](header, 6, 8, 'rgb8', 0, 24, IMAGES[0].reshape(-1))
    with Writer1(tmp_path / 'old.bag') as writer:
        connection = writer.add_connection('/camera', kind, typestore=ros1)
        writer.write(connection, 9, ros1.serialize_ros1(message, kind))
    (frame,) = read_bag(tmp_path / 'old.bag')
    assert frame.stamp_ns == 5_000_000_006
    np.testing.assert_array_equal(frame.image, IMAGES[0])


def test_the_named_topic_is_read_where_there_are_several(tmp_path):
    bag = write_bag(tmp_path / 'bag', {'/left': IMAGES[:1], '/right': IMAGES[1:]})
    assert [topic.num_images for topic in bag_image_topics(bag)] == [1, 3]
    np.testing.assert_array_equal([f.image for f in read_bag(bag, '/right')], IMAGES[1:])


def test_images_that_cannot_be_decoded_are_left_out_counted_and_keep_their_numbers(
    tmp_path, caplog
):
    kind = 'sensor_msgs/msg/Image'
    short = image_message(IMAGES[1], START_NS, 'rgb8')
    short.data = short.data[:100]
    broken = STORE.serialize_cdr(image_message(IMAGES[2], START_NS, 'rgb8'), kind)[:-9]
    images = [IMAGES[0], bytes(STORE.serialize_cdr(short, kind)), bytes(broken), IMAGES[3]]
    bag = write_bag(tmp_path / 'bag', {'/camera': images})
    with caplog.at_level(logging.WARNING):
        frames = list(read_bag(bag))
    assert [frame.name for frame in frames] == ['000000', '000003']
    first, second, count = [record.getMessage() for record in caplog.records]
    assert 'image 000001 is left out: rgb8 image of 8 x 6 pixels: found 100 bytes' in first
    assert 'image 000002 is left out: the message is damaged' in second
    assert count == f'/camera of {bag}: 2 of 4 images were left out'


def test_a_header_without_a_stamp_gets_the_time_of_recording_and_one_warning(tmp_path, caplog):
    bag = write_bag(tmp_path / 'bag', {'/camera': IMAGES}, stamped=False)
    with caplog.at_level(logging.WARNING):
        assert next(read_bag(bag)).stamp_ns == START_NS + 7
        assert len(list(read_bag(bag))) == 4
    assert [r.getMessage() for r in caplog.records] == [
        f'/camera of {bag}: headers without a stamp, recording time is used'
    ] * 2


def test_a_bag_whose_every_image_is_damaged_is_an_error(tmp_path):
    bag = write_bag(tmp_path / 'bag', {'/camera': [b'\0\1\0\0damaged']})
    with pytest.raises(ImageError, match=r'no image of /camera of .* could be decoded: the mess'):
        list(read_bag(bag))


def test_a_bag_that_ends_in_the_middle_is_an_error_that_names_it(tmp_path):
    bag = write_bag(tmp_path / 'bag', {'/camera': IMAGES * 200}, storage='sqlite3')
    file = next(bag.glob('*.db3'))
    file.write_bytes(file.read_bytes()[:-20_000])
    with pytest.raises(ImageError, match=r'bag (is damaged|is no readable bag)'):
        list(read_bag(bag))


def test_a_bag_that_is_none_is_refused_at_once(tmp_path):
    with pytest.raises(ImageError, match=r'gone does not exist, expected a rosbag2 folder'):
        read_bag(tmp_path / 'gone')
    with pytest.raises(ImageError, match=r'is no readable bag: .*ros2 bag reindex'):
        read_bag(tmp_path)
    for name in ('text.mcap', 'text.db3', 'text.bag', 'text.txt'):
        (tmp_path / name).write_text('not a bag, but long enough to have a magic number in it')
        with pytest.raises(ImageError, match=rf'{name} is no readable bag: .+; expected a rosb'):
            read_bag(tmp_path / name)


def test_metadata_that_is_none_is_refused(tmp_path):
    for text in ('', 'a: [', 'rosbag2_bagfile_information: {version: 5}'):
        (tmp_path / 'metadata.yaml').write_text(text)
        with pytest.raises(ImageError, match=r'is no readable bag'):
            read_bag(tmp_path)


def test_a_wrong_topic_is_refused_with_what_there_is(tmp_path):
    bag = write_bag(tmp_path / 'bag', {'/left': IMAGES[:1], '/right': IMAGES, '/none': []})
    listing = r'/left \(1 images\), /none \(0 images\), /right \(4 images\)'
    with pytest.raises(ImageError, match=rf'has 3 image topics, name one of {listing}'):
        read_bag(bag)
    with pytest.raises(
        ImageError, match=rf'no image topic /rigth, did you mean /right\? It.*{listing}'
    ):
        read_bag(bag, '/rigth')
    with pytest.raises(
        ImageError, match=rf'/none of .* is empty, expected images; it has {listing}'
    ):
        read_bag(bag, '/none')


def test_a_bag_without_an_image_topic_is_refused(tmp_path):
    text = TYPES['std_msgs/msg/String']('hello')
    bag = add_topic(tmp_path / 'bag', '/chatter', 'std_msgs/msg/String', text)
    assert bag_image_topics(bag) == []
    with pytest.raises(ImageError, match=r'has no image topic, expected sensor_msgs/msg/Image or'):
        read_bag(bag)


def test_a_bag_from_before_message_definitions_were_recorded_is_read(tmp_path):
    bag = write_bag(tmp_path / 'bag', {'/camera': IMAGES})
    with contextlib.closing(sqlite3.connect(next(bag.glob('*.db3')))) as database, database:
        database.execute('DELETE FROM message_definitions')
    np.testing.assert_array_equal([frame.image for frame in read_bag(bag)], IMAGES)

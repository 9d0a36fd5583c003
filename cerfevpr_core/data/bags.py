"""Camera images of a rosbag2 (sqlite3 or mcap, compressed or not) or a ROS 1 bag; needs no ROS."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from cerfevpr_core.errors import ImageError
from cerfevpr_core.pixel_formats import RGB, decode_compressed, decode_raw

_IMAGE, _COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BagFrame:
    """One image (H, W, 3) RGB. Its name is its message's number within the topic: '000000'."""

    name: str
    stamp_ns: int
    image: RGB


@dataclass(frozen=True)
class BagImageTopic:
    """A topic of a bag that holds images."""

    name: str
    compressed: bool
    num_images: int


def bag_image_topics(path: str | Path) -> list[BagImageTopic]:
    """The image topics of a bag, by name. Raises ImageError where there is no readable bag."""
    with _open(Path(path)) as reader:
        return [
            BagImageTopic(name, info.msgtype == _COMPRESSED, info.msgcount)
            for name, info in sorted(reader.topics.items())
            if info.msgtype in (_IMAGE, _COMPRESSED)
        ]


def find_image_topic(path: str | Path, topic: str | None = None) -> BagImageTopic:
    """The named image topic, or the only one. Raises ImageError that lists what there is."""
    topics = bag_image_topics(path)
    if not topics:
        raise ImageError(f'{path} has no image topic, expected {_IMAGE} or {_COMPRESSED}')
    listing = ', '.join(f'{each.name} ({each.num_images} images)' for each in topics)
    if topic is None and len(topics) > 1:
        raise ImageError(f'{path} has {len(topics)} image topics, name one of {listing}')
    chosen = next((each for each in topics if topic in (None, each.name)), None)
    if chosen is None:
        near = difflib.get_close_matches(topic or '', [each.name for each in topics], n=1)
        hint = f'did you mean {near[0]}? ' if near else ''
        raise ImageError(f'{path} has no image topic {topic}, {hint}It has {listing}')
    if chosen.num_images == 0:
        raise ImageError(f'{chosen.name} of {path} is empty, expected images; it has {listing}')
    return chosen


def read_bag(path: str | Path, topic: str | None = None) -> Iterator[BagFrame]:
    """The images of a topic in the order of the bag; without a topic, of the only image topic.

    The bag and its topic are checked by this call, the images are decoded one by one as they are
    asked for. One that cannot be decoded is a warning and left out, and its number with it.
    Raises ImageError for a missing or unreadable bag or topic, and when nothing can be decoded.
    """
    return _frames(Path(path), find_image_topic(path, topic))


def topic_of_kind(path: Path, topic: str, kinds: Collection[str]) -> str:
    """The message type of a topic, one of these kinds. Raises ImageError that lists what fits."""
    with _open(path) as reader:
        kind_of = {name: str(info.msgtype) for name, info in sorted(reader.topics.items())}
    if kind_of.get(topic) in kinds:
        return kind_of[topic]
    found = f'is {kind_of[topic]}' if topic in kind_of else 'is not there'
    fitting = ', '.join(name for name, kind in kind_of.items() if kind in kinds) or 'none'
    raise ImageError(
        f'topic {topic} of {path} {found}, expected {" or ".join(kinds)}; the bag has {fitting}'
    )


def has_topic(path: Path, topic: str, kind: str) -> bool:
    """Whether a bag has messages of this kind on a topic. Raises ImageError for no bag."""
    with _open(path) as reader:
        info = reader.topics.get(topic)
        return info is not None and info.msgtype == kind and info.msgcount > 0


def messages_of(path: Path, topic: str) -> Iterator[Any]:
    """The messages of a topic in the order of the bag. Raises ImageError for a damaged one."""
    with _open(path) as reader:
        kind = str(reader.topics[topic].msgtype)
        for _, data in _messages(reader, topic, path):
            yield _deserialize(reader, data, kind)


def _frames(path: Path, topic: BagImageTopic) -> Iterator[BagFrame]:
    where = f'{topic.name} of {path}'
    kind = _COMPRESSED if topic.compressed else _IMAGE
    num_skipped, num_images, num_unstamped = 0, 0, 0
    problem = 'the bag lists its messages, but does not hold them'
    with _open(path) as reader:
        for index, (received_ns, data) in enumerate(_messages(reader, topic.name, path)):
            num_images += 1
            try:
                message = _deserialize(reader, data, kind)
                image = _image(message)
            except ImageError as error:
                num_skipped, problem = num_skipped + 1, str(error)
                _log.warning('%s: image %06d is left out: %s', where, index, error)
                continue
            stamp_ns = stamp_of(message)
            if not stamp_ns and not num_unstamped:
                _log.warning('%s: headers without a stamp, recording time is used', where)
            num_unstamped += not stamp_ns
            yield BagFrame(f'{index:06d}', stamp_ns or received_ns, image)
    if num_skipped == num_images:
        raise ImageError(f'no image of {where} could be decoded: {problem}')
    if num_skipped:
        _log.warning('%s: %d of %d images were left out', where, num_skipped, num_images)


def _image(message: Any) -> RGB:
    if hasattr(message, 'format'):
        return decode_compressed(message.data, message.format)
    size = message.height, message.width
    return decode_raw(message.data, *size, message.encoding, message.step, message.is_bigendian)


def stamp_of(message: Any) -> int:
    """The stamp of a message's header, in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


@contextmanager
def _open(path: Path) -> Iterator[AnyReader]:
    if not path.exists():
        raise ImageError(f'{path} does not exist, expected a rosbag2 folder, .mcap, .db3 or .bag')
    try:
        # The message definitions for bags without their own: sqlite3 bags up to ROS 2 Humble.
        reader = AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
        reader.open()
    except Exception as error:  # rosbags lets YAML, SQLite, Zstandard and struct errors through
        raise ImageError(
            f'{path} is no readable bag: {error}; expected a rosbag2 folder with metadata.yaml, '
            'or one .mcap, .db3 or .bag file; if the recording was cut short, '
            '`ros2 bag reindex` or `mcap recover` mends it'
        ) from error
    try:
        yield reader
    finally:
        reader.close()


def _messages(reader: AnyReader, topic: str, path: Path) -> Iterator[tuple[int, bytes]]:
    """(time of recording in ns, serialized message) of a topic."""
    connections = [each for each in reader.connections if each.topic == topic]
    try:
        for _, received_ns, data in reader.messages(connections):
            yield received_ns, data
    except Exception as error:  # whatever the storage raises on damaged data
        raise ImageError(
            f'{path} is damaged: {error}; `ros2 bag convert` or `mcap recover` may save the rest'
        ) from error


def _deserialize(reader: AnyReader, data: bytes, kind: str) -> Any:
    try:
        return reader.deserialize(data, kind)
    except Exception as error:  # damaged bytes raise anything
        raise ImageError(f'the message is damaged: {error}') from error

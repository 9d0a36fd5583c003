"""Images with what is known about them, from a folder or a bag."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from cerfevpr_core.data.bags import find_image_topic, read_bag
from cerfevpr_core.errors import ImageError
from cerfevpr_core.images import Image, list_images, read_image

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Frame:
    """One image of a traverse. `stamp_ns` is 0 where nobody stamped it."""

    name: str
    image: Image
    stamp_ns: int = 0


class FrameSource(Protocol):
    """Frames that can be counted and read again."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Frame]: ...


class FolderFrames:
    """The images of a folder in natural order. Unreadable ones are left out, and named once."""

    def __init__(self, folder: Path) -> None:
        self.files = list_images(folder)
        self.left_out: dict[str, str] = {}  # name -> reason

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Frame]:
        for file in self.files:
            try:
                yield Frame(file.name, read_image(file))
            except ImageError as error:
                if file.name not in self.left_out:
                    log.warning('left out: %s', error)
                self.left_out[file.name] = str(error)


class BagFrames:
    """The images of a bag's topic; without a topic, of its only image topic."""

    def __init__(self, bag: Path, topic: str | None = None) -> None:
        self.bag = bag
        self.topic = find_image_topic(bag, topic)

    def __len__(self) -> int:
        return self.topic.num_images

    def __iter__(self) -> Iterator[Frame]:
        for frame in read_bag(self.bag, self.topic.name):
            yield Frame(frame.name, frame.image, frame.stamp_ns)


class EveryNth:
    """Every n-th frame of a source, from the first one on."""

    def __init__(self, frames: FrameSource, first: int, every: int) -> None:
        self.frames, self.first, self.every = frames, first, every

    def __len__(self) -> int:
        return len(range(self.first, len(self.frames), self.every))

    def __iter__(self) -> Iterator[Frame]:
        return islice(iter(self.frames), self.first, None, self.every)


def frame_number(name: str) -> int:
    """The last integer of a file name. Raises ImageError where there is none."""
    digits = re.findall(r'\d+', Path(name).stem)
    if not digits:
        raise ImageError(
            f'{name} has no number in its name; number the images by frame, or give positions '
            'with --radius-m and --positions'
        )
    return int(digits[-1])

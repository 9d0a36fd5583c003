"""The same image on two topics, told from an image whose stamp comes again."""

from __future__ import annotations

from collections import OrderedDict

_NUM_REMEMBERED = 32  # on each topic


class Twins:
    """Cameras offer an image raw and compressed, with one stamp: the first to come counts.

    The topics keep no order between them, so the other may come after later images. A stamp that
    comes again on its own topic is an image like any other: a recording that is played once more
    repeats its stamps. So each image takes away one twin, and no more.
    """

    def __init__(self) -> None:
        self._alone: dict[str, OrderedDict[int, None]] = {}  # topic -> stamps without a twin yet

    def has_come(self, topic: str, stamp_ns: int) -> bool:
        """Whether this image has come on another topic. Stamp 0 is none: such have no twins."""
        if not stamp_ns:
            return False
        for other, stamps in self._alone.items():
            if other != topic and stamp_ns in stamps:
                del stamps[stamp_ns]
                return True
        alone = self._alone.setdefault(topic, OrderedDict())
        alone[stamp_ns] = None
        alone.move_to_end(stamp_ns)
        if len(alone) > _NUM_REMEMBERED:
            alone.popitem(last=False)
        return False

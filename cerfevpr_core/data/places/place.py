"""A place: image files that show the same spot, and where it is if that is known."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Images of one spot. Positions are comparable between places of the same `frame`."""

    name: str
    files: tuple[Path, ...]
    position_m: tuple[float, float] | None = None
    frame: str = ''
    source: str = ''  # the folder it was read from


@dataclass(frozen=True)
class PlaceSet:
    """Places to train on; a place's label is its number. `left_out` counts, by reason.

    `shares` say how much of each batch comes from a source; without any, places come as they lie.
    """

    places: tuple[Place, ...]
    left_out: dict[str, int] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)  # by source; empty: as many as it has

    @property
    def num_images(self) -> int:
        """Images of all places."""
        return sum(len(place.files) for place in self.places)

    def fingerprint(self) -> str:
        """Equal for the same images in the same places, wherever the folder lies."""
        digest = hashlib.sha256()
        for place in self.places:
            names = '\n'.join('/'.join(f.parts[-2:]) for f in place.files)
            digest.update(f'{place.name}\n{names}\n\n'.encode())
        return digest.hexdigest()[:16]

    def summary(self) -> str:
        """In words: how many places and images, and what was left out."""
        text = f'{len(self.places)} places, {self.num_images} images'
        faults = [f'{count} {reason}' for reason, count in self.left_out.items() if count]
        return f'{text}; left out: {", ".join(faults)}' if faults else text


def with_two_images(places: Sequence[Place]) -> tuple[list[Place], int]:
    """The places that can teach something, and how many show one image or none."""
    kept = [place for place in places if len(place.files) > 1]
    return kept, len(places) - len(kept)

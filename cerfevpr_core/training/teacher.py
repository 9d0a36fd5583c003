"""The model as it starts, as a teacher of itself: what it says of each image as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cerfevpr_core.checkpoint import load_training, save_training
from cerfevpr_core.data.places import PlaceSet
from cerfevpr_core.training.batches import Sample
from cerfevpr_core.training.pictures import Pictures, Stack

Track = Callable[[Iterable[Any], str, int], Iterable[Any]]


@torch.no_grad()
def describe_all(model: nn.Module, places: PlaceSet, alone: Stack, track: Track) -> Tensor:
    """A descriptor of each image as it is, numbered through all places: (M, E), half precision."""
    device = next(model.parameters()).device
    plain = Pictures(places.places, alone, 0.0)
    images = numbered_images(places)
    rows = [
        model(plain[Sample(place, image, 0, 0)][0][None].to(device))[0].half().cpu()
        for place, image in track(images, 'describing for the teacher', len(images))
    ]
    return torch.stack(rows)


def keep_teacher(out: Path, table: Tensor) -> None:
    """For a training that is resumed: its model is no longer the one that taught."""
    save_training(out / 'teacher.ckpt', {'descriptors': table})


def kept_teacher(out: Path) -> Tensor:
    """What `keep_teacher` wrote. Raises WeightsError."""
    table: Tensor = load_training(out / 'teacher.ckpt')['descriptors']
    return table


def numbered_images(places: PlaceSet) -> list[tuple[int, int]]:
    """Every image as (place, number within the place)."""
    return [(p, i) for p, place in enumerate(places.places) for i in range(len(place.files))]

"""What a training begins with: its settings, its model, what it is judged by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from cerfevpr_core.config import Config
from cerfevpr_core.data.places import PlaceSet
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.model import CerfeVPR, new_model
from cerfevpr_core.trained import fill, read_descriptor, settled
from cerfevpr_core.training.batches import Sample
from cerfevpr_core.training.objective import MultiSimilarity, Objective, WithTeacher
from cerfevpr_core.training.pictures import Pictures, Stack, original_alone
from cerfevpr_core.training.start import fit_start
from cerfevpr_core.training.teacher import (
    Track,
    describe_all,
    keep_teacher,
    kept_teacher,
    numbered_images,
)

_RENDITIONS = 3  # of each image that the words are clustered from: as it is, and augmented twice


def settings_of_training(config: Config) -> Config:
    """The settings of what is trained: the method cerfevpr, as its file says if there is one."""
    config = replace(config, method='cerfevpr')
    return settled(config) if config.descriptor.weights else config


def model_to_train(config: Config, places: PlaceSet, track: Track, *, resumes: bool) -> CerfeVPR:
    """The model of `descriptor.weights`, or a fresh one that is fitted to the places.

    One that is resumed gets its weights later. Raises ConfigError and WeightsError.
    """
    model = new_model(config)
    if config.descriptor.weights:
        fill(model, read_descriptor(config).state, config.descriptor.weights)
    elif not resumes:
        _start_from_backbone(model, places, config, track)
    tune_backbone(model.backbone.network, config.train.num_tuned)
    return model


def objective_of(
    config: Config, model: nn.Module, places: PlaceSet, out: Path, track: Track, *, resumes: bool
) -> Objective:
    """Multi-similarity loss, and beside it the teacher that the model is at the start."""
    main = MultiSimilarity(config.train)
    if not config.train.teacher_weight:
        return main
    if resumes:
        table = kept_teacher(out)
    else:
        alone = original_alone(config.backbone.image_size)
        table = describe_all(model.eval(), places, alone, track)
        keep_teacher(out, table)
    return WithTeacher(main, table, config.train.teacher_weight)


def stack_of(config: Config) -> Stack:
    """What makes the variants of an image."""
    size = config.backbone.image_size
    if not config.variants.conditions:
        return original_alone(size)
    from cerfevpr_core.variants import VariantMaker

    return VariantMaker(config.variants, size).stack


def tune_backbone(network: nn.Module, num_tuned: int) -> None:
    """Let the last stages of a CNN, or blocks of a ViT, learn. Raises ConfigError."""
    if not num_tuned:
        return
    parts = getattr(network, 'blocks', None) or getattr(network, 'stages', None)
    if parts is None or num_tuned > len(parts):
        has = f'{len(parts)} blocks or stages' if parts is not None else 'none that can be told'
        raise ConfigError(f'train.num_tuned = {num_tuned}: the backbone has {has}')
    for part in list(parts)[-num_tuned:]:
        part.requires_grad_(True)


def _start_from_backbone(model: CerfeVPR, places: PlaceSet, config: Config, track: Track) -> None:
    """Cluster the words from an even sample of the images."""
    train, alone = config.train, original_alone(config.backbone.image_size)
    plain = Pictures(places.places, alone, 0.0)
    changed = Pictures(places.places, alone, train.augment)
    images = numbered_images(places)
    step = max(1, len(images) // train.start_images)
    chosen = images[::step]

    def renditions() -> Iterator[Tensor]:
        for place, image in track(chosen, 'fitting the start', len(chosen)):
            for number in range(_RENDITIONS):
                sample = Sample(place, image, 0, train.seed + _RENDITIONS * image + number)
                variants, _, _ = (changed if number else plain)[sample]
                yield variants[-1]

    fit_start(model, renditions(), train.seed)

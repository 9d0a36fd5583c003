"""Train the versions of a table alike, one after the other, and measure each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from cerfevpr_core.ablation.measure import answer, counts
from cerfevpr_core.ablation.record import Record, protocol_of
from cerfevpr_core.ablation.versions import Version, Versions, build
from cerfevpr_core.checkpoint import load_network
from cerfevpr_core.config import Config
from cerfevpr_core.data.places import PlaceSet
from cerfevpr_core.model import device_of
from cerfevpr_core.trained import fill
from cerfevpr_core.training.batches import Batches
from cerfevpr_core.training.descriptor import train_descriptor
from cerfevpr_core.training.validation import Traverse
from cerfevpr_core.training.watch import Watch


def compare(
    ablation: str,
    config: Config,
    versions: Versions,
    places: PlaceSet,
    traverses: Sequence[Traverse],
    out: Path,
    *,
    command: str,
    watch: Watch,
) -> Record:
    """All versions from the same seed, on the same batches, for as many steps.

    The last step's network is measured; the traverses choose nothing. What OUT holds already is
    not measured again, and a training that was cut short goes on. Raises ConfigError, ImageError,
    WeightsError, TrainingError.
    """
    protocol = protocol_of(ablation, config, versions, places, traverses)
    protocol['training'] = _training(config, places)
    record = Record(out, protocol, command)
    for version in versions.rows:
        if version.name in record:
            watch.say(f'{version.name}: measured already')
            continue
        watch.say(f'{version.name}: {version.note}')
        start_s = time.monotonic()
        model, num_steps = trained(version, places, out / version.name, watch)
        trained_s = time.monotonic()
        found = answer(model, version.config, traverses, watch.track)
        record.add(
            version,
            found,
            **counts(model, version.config),
            num_steps=num_steps,
            train_s=round(trained_s - start_s, 1),
            answer_s=round(time.monotonic() - trained_s, 1),
        )
    return record


def trained(
    version: Version, places: PlaceSet, folder: Path, watch: Watch
) -> tuple[nn.Module, int]:
    """A version's network after its training, ready to run, and how many steps that took."""
    config, device = version.config, device_of(version.config)
    torch.manual_seed(config.train.seed)  # of adapters, which start at random
    if not version.trains:
        return build(version).to(device).eval(), 0
    progress = train_descriptor(
        places,
        folder,
        config,
        resume=(folder / 'last.ckpt').is_file(),
        model=None if config.method == 'cerfevpr' else build(version),
        watch=watch,
    )
    model, file = build(version), folder / 'best.safetensors'
    fill(model, load_network(file).state, str(file))
    return model.to(device).eval(), progress.steps_done


def _training(config: Config, places: PlaceSet) -> str:
    train = config.train
    batches = Batches(places.places, train, shares=places.shares)
    return (
        f'{train.epochs * batches.num_steps} steps of {batches.num_places} places x '
        f'{train.images_per_place} images, seed {train.seed}, the same images for each version'
    )

"""Train the descriptor (section 3.5): the loop, from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from cerfevpr_core.config import Config, TrainConfig
from cerfevpr_core.data.places import PlaceSet
from cerfevpr_core.errors import TrainingError
from cerfevpr_core.model import new_model
from cerfevpr_core.trained import fill, read_descriptor, settled
from cerfevpr_core.training.batches import Batches, share
from cerfevpr_core.training.large_batch import backward_whole_batch
from cerfevpr_core.training.log import TrainingLog
from cerfevpr_core.training.objective import MultiSimilarity, Objective, Targets
from cerfevpr_core.training.pictures import Pictures, Stack, collate, original_alone
from cerfevpr_core.training.processes import Fabric, start_processes
from cerfevpr_core.training.progress import Checkpoints, Progress
from cerfevpr_core.training.validation import Traverse, recall_at_1

_T = TypeVar('_T')
_LAYERS = 3  # draws of a step's layers, apart from those of its batch


def _quiet(items: Iterable[_T], what: str, count: int) -> Iterable[_T]:
    return items


@dataclass(frozen=True)
class Watch:
    """How a training shows itself: a bar over an epoch's steps, and a line an epoch."""

    track: Callable[[Iterable[Any], str, int], Iterable[Any]] = _quiet
    say: Callable[[str], None] = lambda text: None


def train_descriptor(
    places: PlaceSet,
    out: Path,
    config: Config,
    *,
    validation: Sequence[Traverse] = (),
    resume: bool = False,
    num_processes: int = 1,
    objective: Objective | None = None,
    stack: Stack | None = None,
    model: nn.Module | None = None,
    watch: Watch = Watch(),
) -> Progress:
    """Train what is tunable of a model and keep OUT/last.ckpt, best.safetensors and log.csv.

    Without a `model` it is that of the settings, as it starts or from `descriptor.weights`.
    Raises ConfigError, ImageError, WeightsError, and TrainingError where it cannot go on.
    """
    config = _starting(config)
    train = config.train
    checkpoints = Checkpoints(out, config, places)
    checkpoints.prepare(resume)  # before other processes start, so that all see the same
    fabric = start_processes(config, num_processes)
    watch = watch if fabric.is_global_zero else Watch()
    torch.manual_seed(train.seed)
    model = model or _model(config)
    tunable = [p for p in model.parameters() if p.requires_grad]
    if not tunable:
        raise TrainingError('nothing in the model is tunable; set adapters, fusion or encoder')
    adam = torch.optim.Adam(tunable, train.learning_rate, weight_decay=train.weight_decay)
    wrapped, optimizer = fabric.setup(model, adam)
    precision = fabric.strategy.precision
    progress = checkpoints.load(model, adam, precision) if resume else Progress()
    size = config.backbone.image_size
    pictures = Pictures(places.places, stack or original_alone(size), train.augment)
    num_conditions = len(config.variants.conditions) if stack else 0
    batches = Batches(places.places, train, num_conditions, fabric.world_size)
    objective = objective or MultiSimilarity(train)

    with ExitStack() as opened:
        log = None
        if fabric.is_global_zero:
            columns = ['loss', 'learning_rate', 'images_per_s', 'recall_at_1']
            columns += [f'recall_at_1/{t.name}' for t in validation]
            log = opened.enter_context(TrainingLog(out, columns, progress.steps_done))
        saved_s = time.monotonic()
        while progress.epoch < train.epochs and not _stale(progress, train):
            model.train()
            for group in adam.param_groups:
                group['lr'] = _learning_rate(train, progress.epoch)
            steps = _load(pictures, batches, progress, train.num_workers, fabric)
            started_s = time.monotonic()
            title = f'epoch {progress.epoch + 1}/{train.epochs}'
            for variants, labels, images in watch.track(
                steps, title, batches.num_steps - progress.step
            ):
                targets = Targets(fabric.to_device(labels), fabric.to_device(images))
                loss = backward_whole_batch(
                    fabric,
                    wrapped,
                    fabric.to_device(variants),
                    targets,
                    objective,
                    train.chunk_size,
                    _layer_seed(train.seed, progress, fabric.global_rank),
                )
                _require_finite(loss, tunable, progress, checkpoints)
                optimizer.step()
                optimizer.zero_grad()
                progress.step += 1
                progress.steps_done += 1
                if log:
                    num_images = len(variants) * fabric.world_size
                    row = {
                        'loss': float(loss),
                        'learning_rate': adam.param_groups[0]['lr'],
                        'images_per_s': num_images / (time.monotonic() - started_s),
                    }
                    log.add(progress.epoch + 1, progress.steps_done, row)
                    started_s = time.monotonic()
                    if time.monotonic() - saved_s >= train.checkpoint_every_s:
                        checkpoints.save(progress, model, adam, precision)
                        saved_s = time.monotonic()
            progress.epoch, progress.step = progress.epoch + 1, 0
            recalls = _validate(fabric, model, validation, size)
            is_best = progress.take(recalls)
            if log:
                if recalls:
                    log.add(progress.epoch, progress.steps_done, _columns(recalls))
                if is_best:
                    checkpoints.save_best(progress, model)
                checkpoints.save(progress, model, adam, precision)
                saved_s = time.monotonic()
            watch.say(_line(title, float(loss), recalls, is_best))
    return progress


def _starting(config: Config) -> Config:
    """The settings of what is trained: the method cerfevpr, as its file says if there is one."""
    config = replace(config, method='cerfevpr')
    return settled(config) if config.descriptor.weights else config


def _model(config: Config) -> nn.Module:
    model = new_model(config)
    if config.descriptor.weights:
        file = config.descriptor.weights
        fill(model, read_descriptor(file).state, file)
    return model


def _learning_rate(train: TrainConfig, epoch: int) -> float:
    halvings = epoch // train.halve_every if train.halve_every else 0
    return train.learning_rate * 0.5**halvings


def _load(
    pictures: Pictures, batches: Batches, progress: Progress, num_workers: int, fabric: Fabric
) -> DataLoader[Any]:
    """The rest of the epoch, this process's share of each batch."""
    rest = batches.epoch(progress.epoch, progress.step)
    shares = (share(batch, fabric.global_rank, fabric.world_size) for batch in rest)
    return DataLoader(
        pictures,
        batch_sampler=shares,  # type: ignore[arg-type]  # samples where torch expects numbers
        num_workers=num_workers,
        collate_fn=collate,
    )


def _layer_seed(seed: int, progress: Progress, rank: int) -> int:
    where = [seed, _LAYERS, progress.epoch, progress.step, rank]
    return int(np.random.default_rng(where).integers(2**62))


def _require_finite(
    loss: torch.Tensor,
    tunable: Sequence[nn.Parameter],
    progress: Progress,
    checkpoints: Checkpoints,
) -> None:
    """Stop before a step that would spoil the parameters."""
    what = 'loss'
    if torch.isfinite(loss):
        if checkpoints.config.train.amp == 'fp16':  # its scaler leaves such a step out
            return
        what, loss = 'gradient', nn.utils.clip_grad_norm_(tunable, float('inf'))
        if torch.isfinite(loss):
            return
    kept = (
        f'the last good checkpoint is {checkpoints.last}'
        if checkpoints.last.exists()
        else ('no checkpoint was due yet')
    )
    raise TrainingError(
        f'the {what} became {float(loss)} at epoch {progress.epoch + 1}, step '
        f'{progress.step + 1} ({progress.steps_done} steps done); {kept}; start anew in another '
        f'--out with a train.learning_rate below {checkpoints.config.train.learning_rate:g}'
    )


def _validate(
    fabric: Fabric, model: nn.Module, validation: Sequence[Traverse], size: tuple[int, ...]
) -> dict[str, float]:
    """Recall at 1 of each traverse, found by the first process and told to all."""
    recalls = {}
    if fabric.is_global_zero:
        recalls = {t.name: recall_at_1(model, t, size) for t in validation}
    return fabric.broadcast(recalls)


def _stale(progress: Progress, train: TrainConfig) -> bool:
    return 0 < train.patience <= progress.epochs_since_best


def _columns(recalls: dict[str, float]) -> dict[str, float]:
    mean = sum(recalls.values()) / len(recalls)
    return {'recall_at_1': mean} | {f'recall_at_1/{name}': v for name, v in recalls.items()}


def _line(title: str, loss: float, recalls: dict[str, float], is_best: bool) -> str:
    text = f'{title}: loss {loss:.4f}'
    if recalls:
        text += ', recall at 1 ' + ', '.join(f'{name} {v:.1f}' for name, v in recalls.items())
    return f'{text}, kept' if is_best else text

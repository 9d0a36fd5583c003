"""Train the descriptor (section 3.5): the loop, from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cerfevpr_core.config import Config
from cerfevpr_core.data.places import PlaceSet
from cerfevpr_core.errors import TrainingError
from cerfevpr_core.training.batches import Batches, share
from cerfevpr_core.training.begin import (
    model_to_train,
    objective_of,
    settings_of_training,
    stack_of,
)
from cerfevpr_core.training.large_batch import backward_whole_batch
from cerfevpr_core.training.log import TrainingLog
from cerfevpr_core.training.objective import Objective, Targets
from cerfevpr_core.training.pictures import Pictures, Stack, collate, original_alone
from cerfevpr_core.training.processes import Fabric, start_processes
from cerfevpr_core.training.progress import Checkpoints, Progress
from cerfevpr_core.training.validation import Traverse, recall_at_1
from cerfevpr_core.training.watch import SILENT, Watch

_LAYERS = 3  # keeps what layers draw apart from what batches draw of the same seed


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
    watch: Watch = SILENT,
) -> Progress:
    """Train what is tunable of a model; OUT keeps the networks, a checkpoint and log.csv.

    Without a `model` it is that of the settings, as it starts or from `descriptor.weights`;
    without an `objective` it is the multi-similarity loss; `stack` makes an image's variants.
    Raises ConfigError, ImageError, WeightsError, and TrainingError where it cannot go on.
    """
    config = settings_of_training(config)
    checkpoints = Checkpoints(out, config, places)
    checkpoints.prepare(resume)  # before other processes start, so that all see the same
    fabric = start_processes(config, num_processes)
    torch.manual_seed(config.train.seed)  # of the layers that start at random
    shown = watch if fabric.is_global_zero else SILENT
    model = model or model_to_train(config, places, shown.track, resumes=resume)
    objective = objective or objective_of(config, model, places, out, shown.track, resumes=resume)
    training = _Training(fabric, model, objective, checkpoints, stack)
    if resume:
        training.progress = checkpoints.load(training.model, training.adam, training.precision)
    with ExitStack() as opened:
        log = None
        if fabric.is_global_zero:
            log = TrainingLog(out, _columns(validation), training.progress.steps_done)
            opened.enter_context(log)
        training.run(validation, log, shown)
    return training.progress


class _Training:
    """What one training holds together, and its loop."""

    def __init__(
        self,
        fabric: Fabric,
        model: nn.Module,
        objective: Objective,
        checkpoints: Checkpoints,
        stack: Stack | None,
    ) -> None:
        self.config, self.train = checkpoints.config, checkpoints.config.train
        self.fabric, self.model, self.objective = fabric, model, objective
        self.checkpoints, self.progress = checkpoints, Progress()
        self.tunable = [p for p in model.parameters() if p.requires_grad]
        if not self.tunable:
            raise TrainingError('nothing in the model is tunable; it could only stay as it is')
        self.adam = torch.optim.Adam(
            self.tunable, self.train.learning_rate, weight_decay=self.train.weight_decay
        )
        self.wrapped, self.optimizer = fabric.setup(model, self.adam)
        self.precision = fabric.strategy.precision
        places = checkpoints.places.places
        num_conditions = len(self.config.variants.conditions)
        self.batches = Batches(
            places,
            self.train,
            num_conditions,
            fabric.world_size,
            checkpoints.places.shares,
        )
        self.pictures = Pictures(places, stack or stack_of(self.config), self.train.augment)

    def run(self, validation: Sequence[Traverse], log: TrainingLog | None, watch: Watch) -> None:
        """Epochs until there are enough, or validation finds no better one."""
        progress, train = self.progress, self.train
        saved_s = step_s = time.monotonic()
        while progress.epoch < train.epochs and not progress.is_stale(train.patience):
            learning_rate = self._set_learning_rate()
            title, loss = f'epoch {progress.epoch + 1}/{train.epochs}', 0.0
            rest = self.batches.num_steps - progress.step
            for variants, places, images in watch.track(self._load(), title, rest):
                loss = self._step(variants, Targets(places, images))
                if log is None:
                    continue
                row = {'loss': loss, 'learning_rate': learning_rate}
                row['images_per_s'] = self._num_images(variants) / (time.monotonic() - step_s)
                log.add(progress.epoch + 1, progress.steps_done, row)
                if time.monotonic() - saved_s >= train.checkpoint_every_s:
                    self._save()
                    saved_s = time.monotonic()
                step_s = time.monotonic()
            progress.epoch, progress.step = progress.epoch + 1, 0
            recalls = self._validate(validation)
            is_best = progress.take(recalls)
            if log is not None:
                log.add(progress.epoch, progress.steps_done, _row(recalls))
                files = self.checkpoints
                for file in (files.latest, *([files.best] if is_best else [])):
                    files.save_model(file, progress, self.model)
                self._save()
                saved_s = step_s = time.monotonic()
            watch.say(_line(title, loss, recalls, is_best))
        if progress.is_stale(train.patience):
            watch.say(f'no better recall for {train.patience} epochs (train.patience): stopped')

    def _step(self, variants: Tensor, targets: Targets) -> float:
        """One batch: its loss, and the parameters changed by it."""
        to_device = self.fabric.to_device
        loss = backward_whole_batch(
            self.fabric,
            self.wrapped,
            to_device(variants),
            Targets(to_device(targets.places), to_device(targets.images)),
            self.objective,
            self.train.chunk_size,
            self._layer_seed(),
        )
        self._require_finite(loss)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.progress.step += 1
        self.progress.steps_done += 1
        return float(loss)

    def _require_finite(self, loss: Tensor) -> None:
        """Stop before a step that would spoil the parameters."""
        what, value = 'loss', loss
        if torch.isfinite(loss) and self.train.amp != 'fp16':  # its scaler skips such a step
            what, value = 'gradient', nn.utils.clip_grad_norm_(self.tunable, float('inf'))
        if torch.isfinite(value):
            return
        last, progress = self.checkpoints.last, self.progress
        kept = f'the last good checkpoint is {last}' if last.exists() else 'none was saved yet'
        raise TrainingError(
            f'the {what} became {float(value)} at epoch {progress.epoch + 1}, step '
            f'{progress.step + 1}, after {progress.steps_done} good steps; {kept}; start anew in '
            f'another --out with a train.learning_rate below {self.train.learning_rate:g}'
        )

    def _load(self) -> DataLoader[Any]:
        """The rest of the epoch: of each batch what is this process's share."""
        rest = self.batches.epoch(self.progress.epoch, self.progress.step)
        rank, count = self.fabric.global_rank, self.fabric.world_size
        return DataLoader(
            self.pictures,
            batch_sampler=(share(batch, rank, count) for batch in rest),  # type: ignore[arg-type]
            num_workers=self.train.num_workers,
            collate_fn=collate,
        )

    def _set_learning_rate(self) -> float:
        every = self.train.halve_every
        halvings = self.progress.epoch // every if every else 0
        for group in self.adam.param_groups:
            group['lr'] = self.train.learning_rate * 0.5**halvings
        return self.train.learning_rate * 0.5**halvings

    def _layer_seed(self) -> int:
        """For layers that draw, if any: known from where the training is, so that it resumes."""
        where = [self.train.seed, _LAYERS, self.progress.steps_done, self.fabric.global_rank]
        return int(np.random.default_rng(where).integers(2**62))

    def _num_images(self, variants: Tensor) -> int:
        return len(variants) * self.fabric.world_size

    def _validate(self, validation: Sequence[Traverse]) -> dict[str, float]:
        """Recall at 1 of each traverse, found by the first process and told to all."""
        recalls = {}
        if self.fabric.is_global_zero:
            mapped = self.pictures.stack
            alone = original_alone(self.config.backbone.image_size)
            asked = mapped if self.config.variants.at_query else alone
            recalls = {t.name: recall_at_1(self.model, t, mapped, asked) for t in validation}
        return self.fabric.broadcast(recalls)

    def _save(self) -> None:
        self.checkpoints.save(self.progress, self.model, self.adam, self.precision)


def _columns(validation: Sequence[Traverse]) -> list[str]:
    recalls = _row({t.name: 0.0 for t in validation})
    return ['loss', 'learning_rate', 'images_per_s', *recalls]


def _row(recalls: dict[str, float]) -> dict[str, float]:
    if not recalls:
        return {}
    mean = sum(recalls.values()) / len(recalls)
    return {'recall_at_1': mean} | {f'recall_at_1/{name}': v for name, v in recalls.items()}


def _line(title: str, loss: float, recalls: dict[str, float], is_best: bool) -> str:
    text = f'{title}: loss {loss:.4f}'
    if recalls:
        text += ', recall at 1 ' + ', '.join(f'{name} {v:.1f}' for name, v in recalls.items())
    return f'{text}, kept' if is_best else text

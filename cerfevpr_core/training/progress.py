"""Where a training stands, and its checkpoint, from which it goes on to the same numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cerfevpr_core.checkpoint import load_training, save_network, save_training
from cerfevpr_core.config import Config, model_settings, settings
from cerfevpr_core.data.places import PlaceSet
from cerfevpr_core.errors import ConfigError, TrainingError
from cerfevpr_core.trained import fill, trained_state

# They change how long and how fast it trains, not what comes of a step.
_FREE = ('train.epochs', 'train.patience', 'train.num_workers', 'train.checkpoint_every_s')
_APART = ('method', 'map.', 'runtime.', 'gan.', 'landmarks.', 'cls.', 'gem.', 'grid.', 'vlad.')


@dataclass
class Progress:
    """Steps and epochs done, and the best validation so far."""

    epoch: int = 0
    step: int = 0  # of this epoch
    steps_done: int = 0  # of all epochs
    best_recall: float = -1.0
    best_epoch: int = 0
    epochs_since_best: int = 0
    recall_at_1: dict[str, float] = field(default_factory=dict)  # of the last validation

    def take(self, recalls: Mapping[str, float]) -> bool:
        """Note an epoch's validation; whether its model is the one to keep.

        Without validation the latest is.
        """
        self.recall_at_1 = dict(recalls)
        mean = sum(recalls.values()) / len(recalls) if recalls else self.best_recall
        if recalls and mean <= self.best_recall:
            self.epochs_since_best += 1
            return False
        self.best_recall, self.best_epoch, self.epochs_since_best = mean, self.epoch, 0
        return True

    def is_stale(self, patience: int) -> bool:
        """Whether so many epochs in a row found nothing better; 0: never."""
        return 0 < patience <= self.epochs_since_best


@dataclass(frozen=True)
class Checkpoints:
    """The files of a training: OUT/last.ckpt to go on with, OUT/best.safetensors to use."""

    out: Path
    config: Config
    places: PlaceSet

    @property
    def last(self) -> Path:
        """To go on with."""
        return self.out / 'last.ckpt'

    @property
    def best(self) -> Path:
        """To use: the epoch with the best validation."""
        return self.out / 'best.safetensors'

    @property
    def latest(self) -> Path:
        """To use where the last epoch is preferred to the best one."""
        return self.out / 'latest.safetensors'

    @cached_property
    def places_fingerprint(self) -> str:
        """Found once: a set may hold half a million names."""
        return self.places.fingerprint()

    def prepare(self, resume: bool) -> None:
        """Look before anything is computed. Raises ConfigError, TrainingError."""
        if resume and not self.last.is_file():
            raise TrainingError(f'no checkpoint at {self.last}; leave out --resume to start anew')
        if not resume and self.last.exists():
            raise TrainingError(
                f'{self.out} holds a training; --resume goes on with it, or choose another --out'
            )
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f'cannot write to {self.out}: {error.strerror}') from None

    def save(self, progress: Progress, model: nn.Module, optimizer: Any, precision: Any) -> None:
        """Everything that the next step depends on."""
        content = {
            'settings': _deciding(self.config),
            'places': self.places_fingerprint,
            'places_summary': self.places.summary(),
            'progress': asdict(progress),
            'model': trained_state(model),
            'optimizer': optimizer.state_dict(),
            'precision': precision.state_dict(),
        }
        save_training(self.last, content)

    def load(self, model: nn.Module, optimizer: Any, precision: Any) -> Progress:
        """Take everything back. Raises WeightsError, and TrainingError for another training."""
        content = load_training(self.last)
        self._require_same(content)
        fill(model, content['model'], str(self.last))
        optimizer.load_state_dict(content['optimizer'])
        if content['precision']:
            precision.load_state_dict(content['precision'])
        return Progress(**content['progress'])

    def save_model(self, file: Path, progress: Progress, model: nn.Module) -> None:
        """The model as it is, with its settings and how it came about."""
        notes = {
            'epochs': progress.epoch,
            'steps': progress.steps_done,
            'recall_at_1': progress.recall_at_1,
            'places': self.places.summary(),
            'torch': torch.__version__,
            'settings': _deciding(self.config),
        }
        own = model_settings(self.config) | {'method': 'cerfevpr', 'descriptor.weights': ''}
        save_network(file, trained_state(model), own, notes)

    def _require_same(self, content: Mapping[str, Any]) -> None:
        theirs, ours = content['settings'], _deciding(self.config)
        differing = differences(ours, theirs, 'the checkpoint')
        if content['places'] != self.places_fingerprint:
            differing.append(
                f'the places are {self.places.summary()}, '
                f'the checkpoint has {content["places_summary"]}'
            )
        if differing:
            raise TrainingError(
                f'{self.last} is of another training: {"; ".join(differing)}; '
                'put these back, or start anew in another --out'
            )


def differences(
    ours: Mapping[str, object],
    theirs: Mapping[str, object],
    whose: str,
    shown: Callable[[object], object] = lambda value: value,
) -> list[str]:
    """What differs between two sets of named values, in words."""
    return [
        f'{name} is {shown(ours.get(name))}, {whose} has {shown(theirs.get(name))}'
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]


def _deciding(config: Config) -> dict[str, Any]:
    """The settings that a step's numbers depend on, as JSON would have them."""
    flat = {
        name: value
        for name, value in settings(config).items()
        if name not in _FREE and not name.startswith(_APART)
    }
    return json.loads(json.dumps(flat))

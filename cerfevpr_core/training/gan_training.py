"""What changes while a pair of generators learns: one step, and saving to go on with."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cerfevpr_core.checkpoint import load_training, save_network, save_training
from cerfevpr_core.config import GanConfig
from cerfevpr_core.errors import ConfigError, TrainingError
from cerfevpr_core.gan.cycle_gan import CycleGan
from cerfevpr_core.gan.generator import Generator

CHECKPOINT = 'checkpoint.pt'

# How long to train and how often to save may differ when a training goes on.
_MAY_DIFFER = ('steps', 'decay_steps', 'checkpoint_steps')

Losses = dict[str, float]


class GanTraining:
    """All that changes while a pair of generators learns, and can be saved to go on with."""

    def __init__(self, names: tuple[str, str], config: GanConfig, device: torch.device) -> None:
        self.names, self.config, self.device = names, config, device
        self.gan = CycleGan(config).to(device).train()
        for features in self.gan.frozen:
            if features is not None:
                features.to(device)
        self.average = [  # to M, to N; running means of weights make calmer images
            Generator(config.num_filters, config.num_blocks).to(device).eval() for _ in range(2)
        ]
        self._update_average(0.0)
        self.optimizers = [
            torch.optim.Adam(parameters, betas=(0.5, 0.999))
            for parameters in (
                self.gan.generator_parameters(),
                self.gan.discriminator_parameters(),
            )
        ]
        self.step, self.hours = 0, 0.0
        self.history: list[Losses] = []
        self._since = time.perf_counter()

    def learn(self, step: int, m: Tensor, n: Tensor, rng: np.random.Generator) -> Losses:
        """One step of the generators, one of the discriminators. Raises TrainingError."""
        gan, (of_generators, of_discriminators) = self.gan, self.optimizers
        for optimizer, rate in zip(self.optimizers, rates(step, self.config), strict=True):
            optimizer.param_groups[0]['lr'] = rate
        parts, as_m, as_n = gan.generators_losses(m, n)
        losses = {name: loss.item() for name, loss in parts.items()}
        self._require_finite(step, losses)
        _descend(of_generators, torch.stack([*parts.values()]).sum())
        judging = gan.discriminators_loss(m, n, as_m, as_n, rng)
        losses['discriminators'] = judging.item()
        self._require_finite(step, losses)
        _descend(of_discriminators, judging)
        # A mean over all steps at first, or the untrained start would weigh for long.
        self._update_average(min(self.config.average, step / (step + 10)))
        self.step = step
        self.history.append({'step': step, **losses})
        return losses

    def save(self, out: Path, notes: Mapping[str, Any]) -> None:
        """Checkpoint, both generators and losses.csv. Raises TrainingError for broken weights."""
        if not all(torch.isfinite(p).all() for each in self.average for p in each.parameters()):
            raise TrainingError(_diverged(self.step, 'a weight', self.config))
        now = time.perf_counter()
        self.hours, self._since = self.hours + (now - self._since) / 3600, now
        content = {
            'settings': asdict(self.config),
            'names': list(self.names),
            'step': self.step,
            'hours': self.hours,
            'gan': self.gan.state_dict(),
            'average': [each.state_dict() for each in self.average],
            'optimizers': [each.state_dict() for each in self.optimizers],
            'pools': self.gan.pools(),
            'history': self.history,
        }
        save_training(out / CHECKPOINT, content)
        for name, generator in zip(self.names, self.average, strict=True):
            state = {key: value.half() for key, value in generator.state_dict().items()}
            made = {'steps': self.step, 'hours': round(self.hours, 2), **notes}
            save_network(
                out / f'{name}.safetensors', state, self._settings() | {'condition': name}, made
            )
        _write_losses(out / 'losses.csv', self.history)

    def load(self, file: Path) -> None:
        """Go on from a checkpoint. Raises ConfigError where settings or conditions differ."""
        found = load_training(file)
        ours = self._settings() | {'names': list(self.names)}
        theirs = {f'gan.{k}': v for k, v in found['settings'].items()} | {'names': found['names']}
        differing = [
            f'{name} is {ours[name]}, the checkpoint has {theirs.get(name)}'
            for name in ours
            if name.removeprefix('gan.') not in _MAY_DIFFER and ours[name] != theirs.get(name)
        ]
        if differing:
            raise ConfigError(
                f'{file} was made with other settings: {"; ".join(differing)}; resume with those, '
                'or choose another --out'
            )
        self.gan.load_state_dict(found['gan'])
        for own, state in zip(self.average, found['average'], strict=True):
            own.load_state_dict(state)
        for optimizer, state in zip(self.optimizers, found['optimizers'], strict=True):
            optimizer.load_state_dict(state)
        self.gan.load_pools(found['pools'])
        self.step, self.hours, self.history = found['step'], found['hours'], found['history']

    def start(self, file: Path) -> None:
        """Begin with the networks of another training, whatever its settings were otherwise.

        Raises ConfigError where they are of other sizes.
        """
        found = load_training(file)
        try:
            self.gan.load_state_dict(found['gan'])
        except RuntimeError:
            sizes = ('num_filters', 'num_blocks', 'discriminator', 'discriminator_filters')
            wanted = ', '.join(f'gan.{name}={found["settings"][name]}' for name in sizes)
            raise ConfigError(
                f'{file} holds networks of another size: start from it with {wanted}'
            ) from None
        self._update_average(0.0)

    def _settings(self) -> dict[str, Any]:
        return {f'gan.{name}': value for name, value in asdict(self.config).items()}

    @torch.no_grad()
    def _update_average(self, weight: float) -> None:
        for mean, now in zip(self.average, (self.gan.to_m, self.gan.to_n), strict=True):
            for old, new in zip(mean.parameters(), now.parameters(), strict=True):
                old.lerp_(new, 1 - weight)

    def _require_finite(self, step: int, losses: Losses) -> None:
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise TrainingError(_diverged(step, f'the {name} loss', self.config))


def rates(step: int, config: GanConfig) -> tuple[float, float]:
    """Learning rates of generators and discriminators at a step from 1.

    Both go evenly towards 0 in the last `decay_steps`; the generators' also comes up from 0 in
    the first `warmup_steps`, in which the discriminators learn what they are to judge.
    """
    decay = min(1.0, (config.steps - step + 1) / (config.decay_steps + 1))
    warmup = min(1.0, step / (config.warmup_steps + 1))
    return config.learning_rate * decay * warmup, config.discriminator_learning_rate * decay


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def _diverged(step: int, what: str, config: GanConfig) -> str:
    return (
        f'training stopped at step {step}: {what} is not a finite number. The checkpoint is the '
        f'last good one; start again with a learning rate below {config.learning_rate:g} '
        '(gan.learning_rate)'
    )


def _write_losses(file: Path, history: list[Losses]) -> None:
    names = list(history[-1])
    lines = [','.join(f'{row.get(name, math.nan):.6g}' for name in names) for row in history]
    file.write_text('\n'.join([','.join(names), *lines]) + '\n', encoding='utf-8')

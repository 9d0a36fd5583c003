"""Training of a pair of season generators on two folders of unpaired images (section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cerfevpr_core.config import GanConfig
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.training.gan_training import CHECKPOINT, GanTraining, Losses
from cerfevpr_core.training.sample_sheet import SampleSheet
from cerfevpr_core.training.unpaired import Domain

_CALIBRATE = 32  # images of each domain that the frozen features are standardised on

Progress = Callable[[int, int, Losses], None]


@dataclass(frozen=True)
class UnpairedDomains:
    """The two conditions, a = M and b = N: folders of images and the conditions' names."""

    folder_a: Path
    folder_b: Path
    names: tuple[str, str]


def train_gan(
    domains: UnpairedDomains,
    out: Path,
    config: GanConfig,
    device: torch.device,
    resume: bool = False,
    start: Path | None = None,
    notes: Mapping[str, Any] = {},
    progress: Progress = lambda step, steps, losses: None,
) -> None:
    """Train both generators; `out` gets them, a checkpoint, sample sheets and losses.csv.

    `start` is the folder of another training whose networks this one begins with.
    Raises ConfigError for a resume with other settings, ImageError for bad folders, and
    TrainingError where a loss is not finite: the checkpoint is then the last good one.
    """
    torch.manual_seed(config.seed)
    domain_a = Domain(domains.folder_a, config.crop_px)
    domain_b = Domain(domains.folder_b, config.crop_px)
    training = GanTraining(domains.names, config, device)
    if resume:
        training.load(out / CHECKPOINT)
    elif (out / CHECKPOINT).exists():
        raise ConfigError(f'{out} holds a training; go on with --resume or choose another --out')
    elif start is not None:
        training.start(start / CHECKPOINT)
    else:
        rng = np.random.default_rng([config.seed])
        both = [domain.batch(_CALIBRATE, rng) for domain in (domain_a, domain_b)]
        training.gan.calibrate(torch.cat(both).to(device))
    sheet = SampleSheet(domains.names, domain_a, domain_b, config.seed)
    for step in range(training.step + 1, config.steps + 1):
        rng = np.random.default_rng([config.seed, step])  # the same whether resumed or not
        torch.manual_seed(int(rng.integers(2**31)))
        m = domain_a.batch(config.batch_size, rng).to(device)
        n = domain_b.batch(config.batch_size, rng).to(device)
        losses = training.learn(step, m, n, rng)
        progress(step, config.steps, losses)
        if step % config.checkpoint_steps == 0 or step == config.steps:
            training.save(out, notes)
            sheet.save(training.average, out / 'sheets' / f'step_{step:06}.png')

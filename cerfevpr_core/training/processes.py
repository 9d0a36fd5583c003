"""One process or several, on CPU or GPU, with or without mixed precision: Lightning Fabric."""

from __future__ import annotations

import logging
import os
from typing import Any

import torch

from cerfevpr_core.config import Config
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.model import device_of
from cerfevpr_core.training.extras import needs

Fabric = Any  # lightning_fabric.Fabric; it is imported where training starts


def start_processes(config: Config, count: int) -> Fabric:
    """A launched Fabric: this process, or one of `count` that run the same command.

    Under torchrun the processes are there already and only find one another. Raises ConfigError.
    """
    with needs('train'):
        from lightning_fabric import Fabric
    logging.getLogger('lightning_fabric').setLevel(logging.WARNING)  # it announces each start
    device = device_of(config)
    if count < 1 or (device.type == 'cuda' and count > torch.cuda.device_count()):
        there = f'1 to {torch.cuda.device_count()}' if device.type == 'cuda' else '1 or more'
        raise ConfigError(f'--devices {count}: expected {there} on {device.type}')
    if config.train.num_places % count:
        raise ConfigError(
            f'train.num_places = {config.train.num_places}: expected a multiple of '
            f'--devices {count}, so that each takes as many places'
        )
    one = [device.index] if device.type == 'cuda' and device.index is not None else 1
    fabric = Fabric(
        accelerator=device.type,
        devices=one if count == 1 else count,
        strategy='ddp' if count > 1 else 'auto',
        precision=_precision(config, device),
    )
    fabric.launch()
    if config.runtime.num_threads:
        torch.set_num_threads(config.runtime.num_threads)
    return fabric


def is_first() -> bool:
    """Whether this process speaks for all, also before they have found one another."""
    return int(os.environ.get('RANK') or os.environ.get('LOCAL_RANK') or 0) == 0


def _precision(config: Config, device: torch.device) -> Any:
    amp = config.train.amp
    if amp == 'auto':
        amp = 'bf16' if device.type == 'cuda' and torch.cuda.is_bf16_supported() else 'off'
    if amp == 'fp16' and device.type != 'cuda':
        raise ConfigError('train.amp = fp16: expected a GPU; use bf16 or off')
    return {'off': '32-true', 'bf16': 'bf16-mixed', 'fp16': '16-mixed'}[amp]

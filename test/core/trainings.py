"""What the tests that train a descriptor share: settings that take milliseconds a step."""

from __future__ import annotations

from pathlib import Path

from samples import dotted, tiny_settings

from cerfevpr_core.training.log import read_log


def tiny_training(weights: Path, **more: object) -> dict[str, object]:
    """Settings of a small model and a short training; `train__seed=3` for more."""
    named = {
        'runtime.device': 'cpu',
        'backbone.image_size': [64, 64],
        'adapters.placement': 'none',
        'fusion.levels': [2],
        'encoder.num_layers': 1,
        'encoder.num_heads': 2,
        'encoder.ffn_dim': 16,
        'encoder.token_dim': 8,
        'train.num_places': 3,
        'train.images_per_place': 2,
        'train.chunk_size': 4,
        'train.epochs': 2,
        'train.learning_rate': 1e-3,
        'train.miner_margin': 1.0,
    }
    return tiny_settings(weights) | named | dotted(more)


def losses(out: Path) -> list[float]:
    """The loss of each step of a training."""
    return [row['loss'] for row in read_log(out / 'log.csv') if 'loss' in row]

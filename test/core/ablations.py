"""What the tests of the ablations share: settings, a command, its record."""

from __future__ import annotations

import json
from pathlib import Path

from trainings import tiny_training

VIT = 'vit_tiny_patch16_224'


def tiny_ablation(weights: Path, **more: object) -> dict[str, object]:
    """Settings in which each stage is there to be left out."""
    stages = {
        'fusion__num_words': 3,
        'encoder__token_dim': 4,
        'encoder__descriptor_dim': 16,
        'train__epochs': 1,
    }
    return tiny_training(weights, **stages | more)


def arguments(folders: dict[str, Path], kind: str, out: Path) -> list[str]:
    """`cerfevpr ablate`, learning from the one folder and measuring on the other."""
    places = ['--places', str(folders['places']), '--validation', str(folders['held_out'])]
    return ['ablate', kind, *places, '--out', str(out)]


def read(folder: Path) -> dict:
    """The record of an ablation."""
    return json.loads((folder / 'ablation.json').read_text())

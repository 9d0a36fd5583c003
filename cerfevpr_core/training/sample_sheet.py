"""A picture of what generators do to the same few images, made again as they learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image as PilImage
from torch import Tensor, nn

from cerfevpr_core.training.unpaired import Domain

_NUM_SAMPLES = 6


class SampleSheet:
    """A few crops of each domain; rows: a, a as b, b, b as a."""

    def __init__(
        self, names: tuple[str, str], domain_a: Domain, domain_b: Domain, seed: int
    ) -> None:
        self.names = names
        rng = np.random.default_rng([seed])
        self.samples = [domain.batch(_NUM_SAMPLES, rng) for domain in (domain_a, domain_b)]

    @torch.inference_mode()
    def save(self, generators: Sequence[nn.Module], file: Path) -> None:
        """Write the sheet; the generators are those to a and to b."""
        to_a, to_b = generators
        device = next(to_a.parameters()).device
        a, b = (each.to(device) for each in self.samples)
        rows = [a, to_b(a), b, to_a(b)]
        file.parent.mkdir(parents=True, exist_ok=True)
        PilImage.fromarray(_grid(rows)).save(file)


def _grid(rows: Sequence[Tensor]) -> np.ndarray:
    """[(B, 3, H, W)] in [0, 1] -> uint8 (rows * H, B * W, 3)."""
    lines = [row.permute(2, 0, 3, 1).flatten(1, 2) for row in rows]  # (H, B * W, 3) each
    return (torch.cat(lines) * 255).round().to(torch.uint8).cpu().numpy()

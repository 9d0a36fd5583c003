"""The recall that tells which epoch was best, and the traverses it is measured on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from samples import fitted_settings, write_pictures, write_places, write_traverse
from torch import Tensor, nn

from cerfevpr_core.config import load_config
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.model import CerfeVPR, new_model
from cerfevpr_core.training.pictures import original_alone
from cerfevpr_core.training.validation import Traverse, read_traverse, recall_at_1


class Brightness(nn.Module):
    """Describes an image by its brightness, as an angle, and counts the variants it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.seen: list[tuple[int, int]] = []

    def forward(self, variants: Tensor) -> Tensor:
        self.seen.append((len(variants), variants.shape[1]))
        angle = self.scale * variants[:, -1].mean(dim=(1, 2, 3))
        return torch.stack([angle.cos(), angle.sin()], dim=1)


def test_a_traverse_knows_its_places_by_poses_too(tmp_path: Path) -> None:
    for part, x_m in (('database', (0, 4)), ('queries', (1, 9))):
        folder = write_pictures(tmp_path / part, range(2))
        rows = [f'00{n}.png {x} 0 0 0 0 0 1' for n, x in enumerate(x_m)]
        (folder / 'poses.txt').write_text('\n'.join(rows))
    assert read_traverse(tmp_path, 2.0).right.tolist() == [[True, False], [False, False]]
    (tmp_path / 'queries' / 'poses.txt').write_text(rows[0])
    with pytest.raises(ConfigError, match=r'queries/poses.txt has no pose for 001.png; add it,'):
        read_traverse(tmp_path, 2.0)


def test_validation_without_a_right_answer_is_refused(tmp_path: Path) -> None:
    folder = write_traverse(tmp_path / 'held_out', write_places(tmp_path / 'spots', 2))
    rows = (folder / 'positions.csv').read_text().replace('1.png,', '1.png,7').splitlines()
    (folder / 'positions.csv').write_text('\n'.join(rows))
    with pytest.raises(ConfigError, match=r'no query of .* within 5 m; check its positions'):
        read_traverse(folder, 5.0)


def test_validation_describes_one_at_a_time_as_in_use(tmp_path: Path) -> None:
    files = []
    for number, grey in enumerate((0, 120, 240, 10, 130, 60)):
        files.append(tmp_path / f'{number}.png')
        PilImage.fromarray(np.full((32, 32, 3), grey, np.uint8)).save(files[-1])
    right = np.eye(3, dtype=bool)
    right[2] = False, False, True  # the third query looks like another one than it should
    traverse = Traverse('greys', files[:3], files[3:], right)
    alone = original_alone((32, 32))
    model = Brightness().train()
    recall = recall_at_1(model, traverse, lambda image: alone(image).repeat(3, 1, 1, 1), alone)
    assert recall == pytest.approx(200 / 3)
    assert model.seen == [(1, 3)] * 3 + [(1, 1)] * 3
    assert model.training


def test_what_maps_fit_is_fitted_on_the_traverse_and_the_model_stays_as_it_is(
    weights: Path, tmp_path: Path
) -> None:
    config = load_config(overrides=fitted_settings(weights))
    model = new_model(config).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folder = write_traverse(tmp_path / 'held_out', write_places(tmp_path / 'spots', 4))
    sizes, alone = [], original_alone(config.backbone.image_size)
    traverse = read_traverse(folder, 5.0)

    def note_size(module: nn.Module, _: object, found: object) -> None:
        if isinstance(module, CerfeVPR) and isinstance(found, Tensor):
            sizes.append(found.shape[1])

    handle = nn.modules.module.register_module_forward_hook(note_size)
    try:
        recall_at_1(model, traverse, alone, alone)
    finally:
        handle.remove()
    assert set(sizes) == {model.descriptor_dim}
    assert model.needs_fit and model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())

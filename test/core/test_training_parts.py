"""What the training of the descriptor is made of: batches, augmentation, loss, large batches."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image as PilImage
from samples import write_pictures
from torch import Tensor, nn

from cerfevpr_core.config import Config, RuntimeConfig, TrainConfig
from cerfevpr_core.data.places import Place
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.training.augment import augment
from cerfevpr_core.training.batches import Batches, Sample, share
from cerfevpr_core.training.large_batch import backward_whole_batch
from cerfevpr_core.training.log import TrainingLog, read_log
from cerfevpr_core.training.objective import MultiSimilarity, Targets
from cerfevpr_core.training.pictures import Pictures, original_alone
from cerfevpr_core.training.processes import start_processes
from cerfevpr_core.training.validation import Traverse, read_traverse, recall_at_1

CPU = Config(runtime=RuntimeConfig(device='cpu'))


def places(count: int, num_images: int = 4, apart_m: float = 100.0) -> list[Place]:
    files = [Path(f'{i}.jpg') for i in range(num_images)]
    return [Place(str(i), tuple(files), (apart_m * i, 0.0), 'town') for i in range(count)]


def test_a_batch_holds_so_many_images_of_so_many_places() -> None:
    batches = list(Batches(places(10), TrainConfig(num_places=3, images_per_place=4)).epoch(0))
    assert len(batches) == 3
    for batch in batches:
        assert len({s.place for s in batch}) == 3
        assert all(sum(s.place == p for s in batch) == 4 for p in {s.place for s in batch})
    everything = [s.place for batch in batches for s in batch[::4]]
    assert len(set(everything)) == 9  # an epoch sees each place once


def test_images_of_a_place_repeat_only_where_it_has_too_few() -> None:
    train = TrainConfig(num_places=2, images_per_place=4)
    for num_images, distinct in ((6, 4), (3, 3)):
        batch = next(Batches(places(2, num_images), train).epoch(0))
        assert len({s.image for s in batch[:4]}) == distinct


def test_batches_depend_on_seed_epoch_and_step_alone() -> None:
    train = TrainConfig(num_places=3)
    whole = list(Batches(places(9), train).epoch(2))
    assert list(Batches(places(9), train).epoch(2, first=1)) == whole[1:]
    assert list(Batches(places(9), train).epoch(3)) != whole
    assert list(Batches(places(9), TrainConfig(num_places=3, seed=1)).epoch(2)) != whole


def test_the_shares_of_the_processes_are_the_batch() -> None:
    batch = next(Batches(places(9), TrainConfig(num_places=6)).epoch(0))
    assert [s for rank in range(3) for s in share(batch, rank, 3)] == batch


def test_near_places_never_share_a_batch() -> None:
    near = places(12, apart_m=6.0)
    train = TrainConfig(num_places=4, apart_m=10.0, steps_per_epoch=20)
    for batch in Batches(near, train).epoch(0):
        xs = sorted(near[s.place].position_m[0] for s in batch[::4])
        assert min(b - a for a, b in pairwise(xs)) >= 10


def test_a_batch_that_cannot_be_filled_is_smaller_and_says_so(caplog) -> None:
    batch = next(Batches(places(4, apart_m=6.0), TrainConfig(num_places=4)).epoch(0))
    assert len(batch) == 2 * 4
    assert 'batches hold 2 places, not train.num_places = 4' in caplog.text
    with pytest.raises(ConfigError, match='1 places for a batch on 1 devices; expected two'):
        next(Batches(places(4, apart_m=1.0), TrainConfig(num_places=4)).epoch(0))


def test_more_steps_than_places_shuffle_anew() -> None:
    train = TrainConfig(num_places=2, steps_per_epoch=7)
    batches = list(Batches(places(4), train).epoch(0))
    assert len(batches) == 7
    assert {s.place for b in batches for s in b} == {0, 1, 2, 3}


def test_augmentation_follows_its_seed_and_strength() -> None:
    image = torch.rand(1, 3, 48, 64)
    assert augment(image, 0.0, 1) is image
    one, again, other = (augment(image, 1.0, seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other, atol=0.05)
    assert one.shape == image.shape
    assert one.min() >= 0 and one.max() <= 1
    mild = (augment(image, 0.1, 1) - image).abs().mean()
    assert mild < (one - image).abs().mean()


def test_the_variants_of_an_image_change_alike() -> None:
    image = torch.rand(1, 3, 48, 64)
    changed = augment(image.expand(3, -1, -1, -1), 1.0, 5)
    assert torch.equal(changed[0], changed[2])


def test_a_sample_keeps_a_random_subset_of_its_variants_and_the_original() -> None:
    variants = torch.arange(4.0).view(4, 1, 1, 1)
    seen = set()
    for seed in range(40):
        kept = Pictures._keep(variants, Sample(0, 0, num_kept=1, seed=seed)).flatten().tolist()
        assert len(kept) == 2 and kept[-1] == 3
        seen.add(kept[0])
    assert seen == {0, 1, 2}
    assert len(Pictures._keep(variants, Sample(0, 0, num_kept=0, seed=1))) == 1
    assert len(Pictures._keep(variants, Sample(0, 0, num_kept=3, seed=1))) == 4


def test_variant_dropout_leaves_every_number_of_variants_and_one_in_a_batch() -> None:
    train = TrainConfig(num_places=2, steps_per_epoch=40, variant_dropout=0.5)
    batches = list(Batches(places(4), train, num_conditions=2).epoch(0))
    numbers = [{s.num_kept for s in batch} for batch in batches]
    assert all(len(n) == 1 for n in numbers)
    assert {n.pop() for n in numbers} == {0, 1, 2}


def test_a_training_with_variants_sees_the_images_of_one_without() -> None:
    train = TrainConfig(num_places=2, steps_per_epoch=5)
    seen = [
        [
            (s.place, s.image, s.seed)
            for batch in Batches(places(4), train, n).epoch(0)
            for s in batch
        ]
        for n in (0, 2)
    ]
    assert seen[0] == seen[1]


def by_hand(similarity: Tensor, labels: Tensor, config: TrainConfig) -> Tensor:
    """Eq. 12 with the miner's rule, pair by pair; one loss an image."""
    losses = []
    for q in range(len(labels)):
        own = [i for i in range(len(labels)) if i != q and labels[i] == labels[q]]
        foreign = [i for i in range(len(labels)) if labels[i] != labels[q]]
        lowest = min(float(similarity[q, p]) for p in own)
        highest = max(float(similarity[q, n]) for n in foreign)
        hard_own = [p for p in own if similarity[q, p] < highest + config.miner_margin]
        hard_foreign = [n for n in foreign if similarity[q, n] > lowest - config.miner_margin]
        near = sum(math.exp(-config.alpha * float(similarity[q, p])) for p in hard_own)
        far = sum(math.exp(config.beta * float(similarity[q, n])) for n in hard_foreign)
        losses.append(math.log(1 + near) / config.alpha + math.log(1 + far) / config.beta)
    return torch.tensor(losses)


@pytest.mark.parametrize('hard_fraction', [1.0, 0.25])
def test_the_loss_is_equation_12_over_the_hardest_images(hard_fraction: float) -> None:
    config = TrainConfig(hard_fraction=hard_fraction)
    torch.manual_seed(0)
    descriptors = F.normalize(torch.randn(8, 6), dim=1)
    labels = torch.arange(4).repeat_interleave(2)
    expected = by_hand(descriptors @ descriptors.T, labels, config)
    expected = expected.sort(descending=True).values[: round(8 * hard_fraction)].mean()
    found = MultiSimilarity(config)(descriptors, Targets(labels, torch.arange(8)))
    assert float(found) == pytest.approx(float(expected), rel=1e-4)


def test_a_batch_without_hard_pairs_costs_nothing() -> None:
    descriptors = torch.eye(4).repeat_interleave(2, dim=0).requires_grad_()
    labels = torch.arange(4).repeat_interleave(2)
    loss = MultiSimilarity(TrainConfig())(descriptors, Targets(labels, labels))
    loss.backward()
    assert loss.item() == 0 and not descriptors.grad.any()


class Describer(nn.Module):
    """A small model that also draws: dropout must be the same in both passes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(12, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 8)
        )

    def forward(self, variants: Tensor) -> Tensor:
        return F.normalize(self.layers(variants), dim=1)


def gradients(chunk_size: int, dropout: bool) -> tuple[float, Tensor]:
    torch.manual_seed(0)
    model = Describer().train(dropout)
    fabric = start_processes(CPU, 1)
    wrapped = fabric.setup_module(model)
    variants = torch.randn(12, 1, 3, 2, 2)
    targets = Targets(torch.arange(4).repeat_interleave(3), torch.arange(12))
    objective = MultiSimilarity(TrainConfig(miner_margin=0.5))
    loss = backward_whole_batch(fabric, wrapped, variants, targets, objective, chunk_size, seed=3)
    return float(loss), torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize('chunk_size', [1, 5, 6])
def test_chunks_give_the_loss_and_gradient_of_the_one_large_batch(chunk_size: int) -> None:
    whole_loss, whole = gradients(12, dropout=False)
    loss, found = gradients(chunk_size, dropout=False)
    assert whole.abs().max() > 1e-3
    assert loss == pytest.approx(whole_loss, rel=1e-6)
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-7)


def test_both_passes_of_a_chunk_drop_out_the_same() -> None:
    """The gradient of a step must be that of its loss: checked along one parameter."""
    torch.manual_seed(0)
    model = Describer().train()
    fabric = start_processes(CPU, 1)
    wrapped = fabric.setup_module(model)
    variants = torch.randn(12, 1, 3, 2, 2)
    targets = Targets(torch.arange(4).repeat_interleave(3), torch.arange(12))

    def objective(descriptors: Tensor, _: Targets) -> Tensor:
        return (descriptors @ descriptors.T)[targets.places[:, None] != targets.places].mean()

    def loss() -> float:
        model.zero_grad()
        return float(backward_whole_batch(fabric, wrapped, variants, targets, objective, 4, 9))

    middle = model.layers[1].bias
    loss()
    slope = float(middle.grad[0])
    values = []
    for shift in (1e-3, -2e-3):
        with torch.no_grad():
            middle[0] += shift
        values.append(loss())
    assert slope == pytest.approx((values[0] - values[1]) / 2e-3, abs=2e-4)


def test_the_log_drops_what_came_after_the_step_it_goes_on_from(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, ['loss', 'recall_at_1'], 0) as log:
        for step in (1, 2, 3):
            log.add(1, step, {'loss': 1 / step})
        log.add(1, 3, {'recall_at_1': 50.0})
    with TrainingLog(tmp_path, ['loss', 'recall_at_1'], 2) as log:
        log.add(1, 3, {'loss': 0.25})
    assert [row['loss'] for row in read_log(tmp_path / 'log.csv')] == [1, 0.5, 0.25]
    with (tmp_path / 'log.csv').open() as file:
        assert next(csv.reader(file)) == ['epoch', 'step', 'loss', 'recall_at_1']
    assert list((tmp_path / 'tensorboard').glob('events.*'))


def test_half_precision_wants_a_gpu_and_devices_a_number_that_divides() -> None:
    with pytest.raises(ConfigError, match=r'train.amp = fp16: expected a GPU; use bf16 or off'):
        start_processes(replace(CPU, train=TrainConfig(amp='fp16')), 1)
    with pytest.raises(ConfigError, match=r'num_places = 3: expected a multiple of --devices 2'):
        start_processes(replace(CPU, train=TrainConfig(num_places=3)), 2)
    with pytest.raises(ConfigError, match=r'--devices 0: expected 1 or more on cpu'):
        start_processes(CPU, 0)


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

"""A training that is stopped, goes on, or fails to."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from trainings import losses

from cerfevpr_core.checkpoint import load_training
from cerfevpr_core.config import Config
from cerfevpr_core.data.places import PlaceSet
from cerfevpr_core.errors import TrainingError
from cerfevpr_core.training.descriptor import train_descriptor
from cerfevpr_core.training.objective import MultiSimilarity, Targets


class Interrupted:
    """The usual objective, cut short like a power cut before a step."""

    def __init__(self, config: Config, before_step: int, how: BaseException | None = None) -> None:
        self.loss, self.left = MultiSimilarity(config.train), before_step
        self.how = how or KeyboardInterrupt()

    def __call__(self, descriptors: torch.Tensor, targets: Targets) -> torch.Tensor:
        self.left -= 1
        if self.left == 0:
            raise self.how
        return self.loss(descriptors, targets)


@pytest.mark.parametrize('before_step', [2, 3, 4])
def test_a_resumed_training_equals_an_uninterrupted_one(
    spots, train_config, tmp_path: Path, before_step: int
) -> None:
    often = train_config(train__checkpoint_every_s=0.0)
    train_descriptor(spots, tmp_path / 'whole', often)
    cut = Interrupted(often, before_step)
    with pytest.raises(KeyboardInterrupt):
        train_descriptor(spots, tmp_path / 'cut', often, objective=cut)
    assert len(losses(tmp_path / 'cut')) == before_step - 1
    train_descriptor(spots, tmp_path / 'cut', often, resume=True)
    assert losses(tmp_path / 'cut') == losses(tmp_path / 'whole')
    whole, gone_on = (load_training(tmp_path / o / 'last.ckpt') for o in ('whole', 'cut'))
    assert gone_on['progress'] == whole['progress']
    for name, tensor in whole['model'].items():
        assert torch.equal(gone_on['model'][name], tensor), name


def test_more_epochs_may_be_added_but_nothing_else_changed(
    spots, train_config, tmp_path: Path
) -> None:
    out = tmp_path / 'out'
    train_descriptor(spots, out, train_config(train__epochs=1))
    progress = train_descriptor(spots, out, train_config(train__epochs=2), resume=True)
    assert progress.epoch == 2
    changed = train_config(train__learning_rate=0.5, fusion__levels=[1])
    with pytest.raises(TrainingError, match=r'last.ckpt is of another training: ') as caught:
        train_descriptor(spots, out, changed, resume=True)
    assert 'fusion.levels is [1], the checkpoint has [2]' in str(caught.value)
    assert 'train.learning_rate is 0.5, the checkpoint has 0.001' in str(caught.value)


def test_other_places_are_another_training(spots, train_config, tmp_path: Path) -> None:
    train_descriptor(spots, tmp_path / 'out', train_config(train__epochs=1))
    fewer = PlaceSet(spots.places[1:])
    with pytest.raises(TrainingError, match='the places are 5 places, 15 images, the checkpoint'):
        train_descriptor(fewer, tmp_path / 'out', train_config(), resume=True)


def test_a_training_is_never_overwritten_nor_resumed_from_nothing(
    spots, train_config, tmp_path
) -> None:
    with pytest.raises(TrainingError, match=r'no checkpoint at .*; leave out --resume'):
        train_descriptor(spots, tmp_path / 'out', train_config(), resume=True)
    train_descriptor(spots, tmp_path / 'out', train_config(train__epochs=1))
    with pytest.raises(TrainingError, match='holds a training; --resume goes on with it, or'):
        train_descriptor(spots, tmp_path / 'out', train_config())


def test_a_diverging_loss_stops_says_where_and_keeps_the_last_good(
    spots, train_config, tmp_path: Path
) -> None:
    often = train_config(train__checkpoint_every_s=0.0)
    usual, count = MultiSimilarity(often.train), iter(range(100))

    def diverging(descriptors: torch.Tensor, targets: Targets) -> torch.Tensor:
        return usual(descriptors, targets) * (float('nan') if next(count) == 2 else 1.0)

    expected = r'the loss became nan at epoch 2, step 1, after 2 good steps; the last good .*ckpt;'
    with pytest.raises(TrainingError, match=expected):
        train_descriptor(spots, tmp_path / 'out', often, objective=diverging)
    kept = load_training(tmp_path / 'out' / 'last.ckpt')
    assert kept['progress']['steps_done'] == 2
    assert all(torch.isfinite(v).all() for v in kept['model'].values())


def test_a_gradient_that_is_not_finite_stops_too(spots, train_config, tmp_path: Path) -> None:
    def sharp(descriptors: torch.Tensor, targets: Targets) -> torch.Tensor:
        return (descriptors - descriptors.detach()).abs().sqrt().sum()  # slope 0 / 0

    with pytest.raises(TrainingError, match=r'the gradient became .* none was saved yet; start'):
        train_descriptor(spots, tmp_path / 'out', train_config(), objective=sharp)

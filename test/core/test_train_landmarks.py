"""The landmark network is trained, and used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from samples import error_of, write_traverse

from cerfevpr_core.checkpoint import load_network
from cerfevpr_core.data.places import Place
from cerfevpr_core.errors import ConfigError, TrainingError
from cerfevpr_core.landmarks.selector import LandmarkSelector
from cerfevpr_core.model import backbone_fingerprint, load_model
from cerfevpr_core.training.landmarks import train_landmarks, triplet_loss
from cerfevpr_core.training.log import read_log
from cerfevpr_core.training.soft_matching import matching_loss, soft_similarity
from cerfevpr_core.training.tuples import Neighbourhood, mine_tuples
from cerfevpr_core.training.validation import read_traverse

EVERYWHERE = Neighbourhood(np.full(100, -1), np.zeros((100, 2)), 0.0)


@pytest.fixture
def lln_config(train_config):
    """Makes settings of a training that takes a second."""

    def make(**more: object):
        short = {'method': 'gem', 'lln__epochs': 2, 'lln__batch_size': 6, 'lln__num_filters': 2}
        return train_config(**(short | more))

    return make


def test_the_triplet_loss_of_a_case_worked_by_hand() -> None:
    query, positive = torch.tensor([1.0, 0.0]), torch.tensor([0.6, 0.8])
    near, far = torch.tensor([0.8, 0.6]), torch.tensor([-1.0, 0.0])
    loss = triplet_loss(torch.stack([query, positive, near, far])[None], margin=0.3)
    # squared distances: 0.8 to the positive, 0.4 and 4 to the negatives
    assert float(loss) == pytest.approx(0.8 + 0.3 - 0.4)


def test_soft_similarity_prefers_what_moved_as_one() -> None:
    generator = torch.Generator().manual_seed(0)
    scene = torch.randn(16, 6, 8, generator=generator)
    query, moved = scene[:, :, :6], scene[:, :, 2:]
    shuffled = moved.flatten(1)[:, torch.randperm(36, generator=generator)].view_as(moved)
    other = torch.randn(16, 6, 6, generator=generator)
    patches = torch.stack([query, moved, shuffled, other])[None]
    similarity = soft_similarity(patches, torch.ones(1, 4, 6, 6), temperature=0.05)[0]
    assert similarity.argmax() == 0
    assert float(similarity[0]) > 1.5 * float(similarity[1]) > 0


def test_the_matching_loss_silences_cells_that_match_wrongly() -> None:
    generator = torch.Generator().manual_seed(0)
    place = torch.randn(16, 1, 6, 6, generator=generator)
    patches = place.repeat(1, 3, 1, 1).transpose(0, 1)[None].clone()  # query, positive, negative
    patches[0, 2, :, 3:] = torch.randn(16, 3, 6, generator=generator)  # of it the top is alike
    activations = torch.ones(1, 3, 6, 6, requires_grad=True)
    matching_loss(patches, activations, 0.05).backward()
    assert activations.grad is not None
    top, bottom = activations.grad[0, 0, :3].mean(), activations.grad[0, 0, 3:].mean()
    assert float(bottom) < float(top)  # a step down the gradient raises what tells them apart


def test_negatives_are_the_hardest_of_other_places() -> None:
    angles = np.radians([0, 2, 4, 10, 20, 90, 91])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    places = np.array([0, 0, 1, 1, 2, 3, 3])
    rng = np.random.default_rng(0)
    (row,) = mine_tuples(embeddings, places, np.array([0]), 2, 2, EVERYWHERE, rng)
    assert row[:2].tolist() == [0, 1]
    assert set(row[2:].tolist()) == {2, 4}  # one of each place, not both of place 1
    assert len(mine_tuples(embeddings, places, np.array([4]), 2, 2, EVERYWHERE, rng)) == 0


def test_a_place_nearby_is_no_negative() -> None:
    def place(x: float, frame: str) -> Place:
        return Place('', (), (x, 0.0), frame)

    known = Neighbourhood.of([place(0, 'a'), place(3, 'a'), place(9, 'a'), place(1, 'b')], 5.0)
    assert known.overlap(0, np.array([0, 1, 2, 3])).tolist() == [True, True, False, False]


@pytest.mark.parametrize('loss', ['matching', 'embedding'])
def test_training_lowers_the_loss_and_what_it_wrote_selects(
    spots, lln_config, tmp_path: Path, loss: str
) -> None:
    config = lln_config(lln__loss=loss, lln__epochs=12, lln__learning_rate=0.01)
    model = load_model(config)
    train_landmarks(spots, tmp_path / 'out', config, model)
    found = [row['loss'] for row in read_log(tmp_path / 'out' / 'log.csv')]
    assert len(found) == 12 and found[-1] < found[0]
    weights = str(tmp_path / 'out' / 'best.safetensors')
    landmarks = lln_config(landmarks__weights=weights).landmarks
    selector = LandmarkSelector(landmarks, backbone_fingerprint(model))
    assert selector.selection == 'lln'


def test_a_resumed_training_gives_the_same_numbers(spots, lln_config, tmp_path: Path) -> None:
    model = load_model(lln_config())
    train_landmarks(spots, tmp_path / 'whole', lln_config(lln__epochs=4), model)
    train_landmarks(spots, tmp_path / 'parts', lln_config(lln__epochs=2), model)
    train_landmarks(spots, tmp_path / 'parts', lln_config(lln__epochs=4), model, resume=True)
    whole, parts = (
        load_network(tmp_path / out / 'best.safetensors').state for out in ('whole', 'parts')
    )
    assert all(torch.equal(parts[name], value) for name, value in whole.items())
    logs = [read_log(tmp_path / out / 'log.csv') for out in ('whole', 'parts')]
    assert logs[0] == logs[1]


def test_validation_keeps_the_best_epoch(spots, lln_config, tmp_path: Path) -> None:
    traverse = read_traverse(write_traverse(tmp_path / 'held_out', tmp_path / 'spots'), 5.0)
    config = lln_config()
    progress = train_landmarks(
        spots, tmp_path / 'out', config, load_model(config), validation=[traverse]
    )
    rows = read_log(tmp_path / 'out' / 'log.csv')
    assert progress.best_recall == max(row['recall_at_1/held_out'] for row in rows)
    best = load_network(tmp_path / 'out' / 'best.safetensors')
    assert best.notes['recall_at_1'] == {'held_out': progress.best_recall}


def test_a_resume_with_other_settings_is_refused(spots, lln_config, tmp_path: Path) -> None:
    config = lln_config()
    model = load_model(config)
    train_landmarks(spots, tmp_path / 'out', config, model)
    other = lln_config(lln__margin=0.5)
    with pytest.raises(TrainingError, match=r'lln.margin is 0.5, the checkpoint has 0.3'):
        train_landmarks(spots, tmp_path / 'out', other, model, resume=True)
    with pytest.raises(TrainingError, match='holds a training; --resume goes on'):
        train_landmarks(spots, tmp_path / 'out', config, model)
    text = error_of(
        TrainingError, lambda: train_landmarks(spots, tmp_path / 'n', config, model, resume=True)
    )
    assert 'leave out --resume to start anew' in text


def test_a_diverging_loss_stops_and_the_last_good_epoch_stays(
    spots, lln_config, tmp_path: Path
) -> None:
    config = lln_config(lln__learning_rate=1e30, lln__loss='embedding', lln__epochs=50)
    with pytest.raises(TrainingError, match=r'the loss became .* good steps'):
        train_landmarks(spots, tmp_path / 'out', config, load_model(config))


def test_too_few_places_for_the_negatives_are_named(spots, lln_config, tmp_path: Path) -> None:
    config = lln_config(lln__num_negatives=6, lln__negative_pool=6)
    with pytest.raises(ConfigError, match='no query has a positive and 6 negatives'):
        train_landmarks(spots, tmp_path / 'out', config, load_model(config))

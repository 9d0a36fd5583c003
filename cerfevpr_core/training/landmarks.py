"""Train the landmark localization network (section II-B): the loop, from top to bottom."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cerfevpr_core.backbone import Backbone
from cerfevpr_core.checkpoint import load_training, save_network, save_training
from cerfevpr_core.config import Config, settings
from cerfevpr_core.data.places import PlaceSet
from cerfevpr_core.errors import ConfigError, TrainingError
from cerfevpr_core.landmarks.network import LandmarkNetwork, embed, new_network
from cerfevpr_core.model import backbone_fingerprint
from cerfevpr_core.training.feature_table import FeatureTable, feature_table
from cerfevpr_core.training.landmark_validation import (
    landmark_recall,
    pooled_cells,
    see_traverse,
)
from cerfevpr_core.training.log import TrainingLog
from cerfevpr_core.training.progress import Progress, differences
from cerfevpr_core.training.soft_matching import matching_loss
from cerfevpr_core.training.tuples import Neighbourhood, mine_tuples
from cerfevpr_core.training.validation import Traverse
from cerfevpr_core.training.watch import SILENT, Watch

_AT_ONCE = 256  # feature maps that are embedded together
_ORDER = 5  # keeps apart what is drawn from one seed


def train_landmarks(
    places: PlaceSet,
    out: Path,
    config: Config,
    model: torch.nn.Module,
    *,
    validation: Sequence[Traverse] = (),
    resume: bool = False,
    watch: Watch = SILENT,
) -> Progress:
    """Train a network on the features of a model's frozen backbone.

    OUT keeps best.safetensors, a checkpoint, the features and log.csv. Raises ConfigError,
    ImageError, WeightsError, and TrainingError where it cannot go on.
    """
    backbone = model.get_submodule('backbone')
    assert isinstance(backbone, Backbone)
    made_of = _made_of(places, config, backbone_fingerprint(model))
    last = out / 'last.ckpt'
    _prepare(out, last, resume)
    table = feature_table(backbone, places, out, config, made_of, watch.track)
    torch.manual_seed(config.lln.seed)
    seen = [see_traverse(each, backbone, config, watch.track) for each in validation]
    training = _Training(table, places, config, backbone.dim)
    if resume:
        training.load(last, made_of)
    columns = ['loss', *_row({traverse.name: 0.0 for traverse in validation})]
    with TrainingLog(out, columns, training.progress.steps_done) as log:
        while training.progress.epoch < config.lln.epochs:
            loss = training.epoch(last)
            recalls = landmark_recall(training.network, seen, config.landmarks)
            is_best = training.progress.take(recalls)
            progress = training.progress
            log.add(progress.epoch, progress.steps_done, {'loss': loss} | _row(recalls))
            if is_best:
                notes = {'places': places.summary(), 'torch': torch.__version__} | asdict(progress)
                _save_network(out / 'best.safetensors', training.network, made_of, config, notes)
            training.save(last, made_of)
            watch.say(_line(progress.epoch, config.lln.epochs, loss, recalls, is_best))
    return training.progress


class _Training:
    """What one training holds together, and its epoch."""

    def __init__(self, table: FeatureTable, places: PlaceSet, config: Config, dim: int) -> None:
        self.table, self.config = table, config.lln
        self.network = new_network(config.lln, dim)
        self.adam = torch.optim.Adam(self.network.parameters(), config.lln.learning_rate)
        self.neighbourhood = Neighbourhood.of(places.places, config.train.apart_m)
        self.shares = _shares(places, table)
        self.progress = Progress()

    def epoch(self, last: Path) -> float:
        """Mine the hardest negatives, then one pass over the tuples; returns the mean loss."""
        rng = np.random.default_rng([self.config.seed, _ORDER, self.progress.epoch])
        tuples = mine_tuples(
            self._embeddings(),
            self.table.places,
            self._queries(rng),
            self.config.num_negatives,
            self.config.negative_pool,
            self.neighbourhood,
            rng,
        )
        if not len(tuples):
            raise ConfigError(
                f'no query has a positive and {self.config.num_negatives} negatives from other '
                'places; add places, or lower lln.num_negatives or train.apart_m'
            )
        losses = []
        for first in range(0, len(tuples), self.config.batch_size):
            losses.append(self._step(tuples[first : first + self.config.batch_size], last))
        self.progress.epoch += 1
        return float(np.mean(losses))

    def _step(self, tuples: NDArray[np.int64], last: Path) -> float:
        loss = self._loss(self.table.maps(tuples.ravel()), tuples.shape)
        if not torch.isfinite(loss):
            raise TrainingError(
                f'the loss became {float(loss)} after {self.progress.steps_done} good steps; '
                f'{last if last.exists() else "nothing"} holds the last good epoch; start anew in '
                f'another --out with lln.learning_rate below {self.config.learning_rate:g}'
            )
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.progress.steps_done += 1
        return float(loss.detach())

    def _loss(self, patches: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Of feature maps (B * (2 + K), D, h, w) that make tuples of this shape."""
        activations = self.network(patches)
        if self.config.loss == 'embedding':
            return triplet_loss(
                embed(patches, activations).unflatten(0, shape), self.config.margin
            )
        tuples = patches.unflatten(0, shape), activations.unflatten(0, shape)
        return matching_loss(*tuples, self.config.temperature)

    def _queries(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Every image, or so many, each source by its share."""
        number = self.config.queries_per_epoch
        if not number:
            return rng.permutation(len(self.table))
        wanted = [round(number * share) for share in self.shares]
        rows = [np.flatnonzero(self.table.sources == n) for n in range(len(self.shares))]
        chosen = [rng.permutation(own)[:count] for own, count in zip(rows, wanted, strict=True)]
        return rng.permutation(np.concatenate(chosen))

    @torch.no_grad()
    def _embeddings(self) -> NDArray[np.float32]:
        """What negatives are hard by: eq. 1, or pooled cells, as a search's candidates are."""
        parts = []
        for first in range(0, len(self.table), _AT_ONCE):
            patches = self.table.maps(np.arange(first, min(first + _AT_ONCE, len(self.table))))
            if self.config.loss == 'embedding':
                parts.append(embed(patches, self.network(patches)))
            else:
                parts.append(pooled_cells(patches))
        return torch.cat(parts).numpy()

    def save(self, last: Path, made_of: dict[str, object]) -> None:
        content = {
            'made_of': json.dumps(made_of, sort_keys=True),
            'progress': asdict(self.progress),
            'network': self.network.state_dict(),
            'optimizer': self.adam.state_dict(),
        }
        save_training(last, content)

    def load(self, last: Path, made_of: dict[str, object]) -> None:
        """Take everything back. Raises WeightsError, and TrainingError for another training."""
        content = load_training(last)
        if differing := differences(made_of, json.loads(content['made_of']), 'the checkpoint'):
            raise TrainingError(
                f'{last} is of another training: {"; ".join(differing)}; put these back, or start '
                'anew in another --out'
            )
        self.network.load_state_dict(content['network'])
        self.adam.load_state_dict(content['optimizer'])
        self.progress = Progress(**content['progress'])


def triplet_loss(embeddings: Tensor, margin: float) -> Tensor:
    """Eq. 2, the mean over B tuples (B, 2 + K, D) of query, positive and K negatives."""
    distances = (embeddings[:, :1] - embeddings[:, 1:]).pow(2).sum(dim=2)  # (B, 1 + K)
    return F.relu(distances[:, :1] + margin - distances[:, 1:]).sum(dim=1).mean()


def _prepare(out: Path, last: Path, resume: bool) -> None:
    if resume and not last.is_file():
        raise TrainingError(f'no checkpoint at {last}; leave out --resume to start anew')
    if not resume and last.exists():
        raise TrainingError(
            f'{out} holds a training; --resume goes on with it, or choose another --out'
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f'cannot write to {out}: {error.strerror}') from None


def _made_of(places: PlaceSet, config: Config, backbone: str) -> dict[str, object]:
    """What the numbers of a step depend on."""
    flat = settings(config)
    names = [n for n in flat if n.startswith('lln.') and n != 'lln.epochs']
    names += ['backbone.image_size', 'train.augment', 'train.apart_m']
    used = json.loads(json.dumps({name: flat[name] for name in names}))
    return used | {'backbone': backbone, 'places': places.fingerprint()}


def _shares(places: PlaceSet, table: FeatureTable) -> list[float]:
    """Of each source, in sum 1; as many as it has where none are given."""
    names = sorted({place.source for place in places.places})
    counts = np.bincount(table.sources, minlength=len(names))
    shares = [places.shares.get(name, 0.0) for name in names] if places.shares else list(counts)
    return [float(share) / float(sum(shares)) for share in shares]


def _save_network(
    file: Path,
    network: LandmarkNetwork,
    made_of: dict[str, object],
    config: Config,
    notes: dict[str, object],
) -> None:
    own = {
        'dim': network.dim,
        'backbone': made_of['backbone'],
        'lln.kernel_sizes': list(config.lln.kernel_sizes),
        'lln.num_filters': config.lln.num_filters,
    }
    save_network(file, network.state_dict(), own, notes | {'made_of': made_of})


def _row(recalls: dict[str, float]) -> dict[str, float]:
    if not recalls:
        return {}
    mean = sum(recalls.values()) / len(recalls)
    return {'recall_at_1': mean} | {f'recall_at_1/{name}': v for name, v in recalls.items()}


def _line(epoch: int, epochs: int, loss: float, recalls: dict[str, float], is_best: bool) -> str:
    text = f'epoch {epoch}/{epochs}: loss {loss:.4f}'
    if recalls:
        text += ', recall at 1 ' + ', '.join(f'{name} {v:.1f}' for name, v in recalls.items())
    return f'{text}, kept' if is_best else text

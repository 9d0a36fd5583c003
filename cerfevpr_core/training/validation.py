"""How well the model of this moment finds places that it was not trained on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cerfevpr_core.data.positions import PoseTable
from cerfevpr_core.describer import evenly
from cerfevpr_core.errors import ConfigError
from cerfevpr_core.evaluation.protocol import positives_by_radius
from cerfevpr_core.images import list_images, read_image
from cerfevpr_core.training.pictures import Stack


@dataclass(frozen=True)
class Traverse:
    """A held-out drive: database and query images, and which answers are right (Q, M)."""

    name: str
    database: list[Path]
    queries: list[Path]
    right: NDArray[np.bool_]


def read_traverse(folder: Path, radius_m: float) -> Traverse:
    """A folder with `database/`, `queries/` and where their images are.

    `positions.csv` (name,x_m,y_m) says so for both, or a `poses.txt` in each, or UTM in the names.
    Raises ConfigError and ImageError.
    """
    database, queries = list_images(folder / 'database'), list_images(folder / 'queries')
    table = folder / 'positions.csv'
    if all((part / 'poses.txt').is_file() for part in (database[0].parent, queries[0].parent)):
        apart = _by_poses(queries)[:, None] - _by_poses(database)  # (Q, M, 2)
        right = np.linalg.norm(apart, axis=2) <= radius_m
    else:
        names = [f.name for f in queries], [f.name for f in database]
        right = positives_by_radius(*names, radius_m, table if table.is_file() else None).right
    if not right.any():
        raise ConfigError(
            f'no query of {folder} has a database image within {radius_m:g} m; check its '
            'positions, or raise train.validation_radius_m'
        )
    return Traverse(folder.name, database, queries, right)


def _by_poses(files: Sequence[Path]) -> NDArray[np.float64]:
    """Positions (N, 2) in metres by the poses.txt beside the images."""
    table = PoseTable(files[0].parent / 'poses.txt')
    poses = [table.find(file.name) for file in files]
    lost = [file.name for file, pose in zip(files, poses, strict=True) if pose is None]
    if lost:
        raise ConfigError(f'{table.file} has no pose for {lost[0]}; add it, or remove the image')
    return np.array([pose.position_m[:2] for pose in poses if pose is not None])


def held_out(traverses: Sequence[Traverse]) -> frozenset[Path]:
    """The files of all traverses, links followed: a training must not see them."""
    return frozenset(f.resolve() for t in traverses for f in (*t.database, *t.queries))


def recall_at_1(
    model: nn.Module, traverse: Traverse, database_stack: Stack, query_stack: Stack
) -> float:
    """Percentage of the answerable queries whose nearest database image is right."""
    return recall(ranks(model, traverse, database_stack, query_stack), 1)


def recall(ranks: NDArray[np.int64], k: int) -> float:
    """Percentage of queries whose first right answer is among the first k."""
    return 100 * float((ranks <= k).mean())


@torch.inference_mode()
def ranks(
    model: nn.Module, traverse: Traverse, database_stack: Stack, query_stack: Stack
) -> NDArray[np.int64]:
    """For each answerable query the rank of its first right database image, from 1.

    One image at a time, with the variants that a map's images and queries will have. What is
    fitted on maps is fitted on the traverse's database; the model itself stays as it is.
    """
    was_training = model.training
    fitted = _fitted(model.eval(), traverse.database, query_stack)
    database = _describe(fitted, traverse.database, database_stack)
    queries = _describe(fitted, traverse.queries, query_stack)
    model.train(was_training)
    return ranks_of(queries @ database.T, traverse.right)


def ranks_of(similarity: NDArray[np.float32], right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The same from similarities (Q, M) and what is right (Q, M)."""
    order = np.argsort(-similarity, axis=1, kind='stable')
    hits = np.take_along_axis(right, order, axis=1)[right.any(axis=1)]
    return hits.argmax(axis=1) + 1


def _fitted(model: Any, files: Sequence[Path], stack: Stack) -> nn.Module:
    """The model, or where it is fitted on maps a copy of it as with a map of these images."""
    if not getattr(model, 'needs_fit', False):
        return model
    fitted = copy.deepcopy(model)
    device = next(model.parameters()).device
    some = [files[i] for i in evenly(len(files), model.fit_images)]
    fitted.fit(stack(read_image(file))[-1].to(device) for file in some)
    return fitted


def _describe(model: nn.Module, files: Sequence[Path], stack: Stack) -> NDArray[np.float32]:
    device = next(model.parameters()).device
    rows = [model(stack(read_image(file))[None].to(device))[0] for file in files]
    return torch.stack(rows).float().cpu().numpy()

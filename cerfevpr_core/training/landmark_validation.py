"""How well landmarks alone find places that their network was not trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from cerfevpr_core.backbone import Backbone
from cerfevpr_core.config import Config, LandmarksConfig
from cerfevpr_core.images import read_image, to_tensor
from cerfevpr_core.landmarks.landmarks import Landmarks, select
from cerfevpr_core.landmarks.network import LandmarkNetwork
from cerfevpr_core.landmarks.similarity import match_landmarks
from cerfevpr_core.training.teacher import Track
from cerfevpr_core.training.validation import Traverse, ranks_of

_CELLS = 4  # along each side


@dataclass(frozen=True)
class SeenTraverse:
    """A held-out traverse with the feature maps (N, D, h, w), half precision, of its images."""

    name: str
    database: NDArray[np.float16]
    queries: NDArray[np.float16]
    right: NDArray[np.bool_]


def see_traverse(
    traverse: Traverse, backbone: Backbone, config: Config, track: Track
) -> SeenTraverse:
    """The backbone is frozen: its features are found once for all epochs."""

    def maps(files: Sequence[Path]) -> NDArray[np.float16]:
        named = track(files, f'seeing {traverse.name}', len(files))
        return np.stack([_patches(file, backbone, config) for file in named])

    return SeenTraverse(
        traverse.name, maps(traverse.database), maps(traverse.queries), traverse.right
    )


def landmark_recall(
    network: LandmarkNetwork, validation: Iterable[SeenTraverse], config: LandmarksConfig
) -> dict[str, float]:
    """Recall at 1 in percent of each traverse: candidates by pooled cells, then by landmarks."""
    recalls = {}
    for traverse in validation:
        database = _landmarks(network, traverse.database, config.num_landmarks)
        cells = pooled_cells(_tensor(traverse.database)).numpy()
        similarity = np.full(traverse.right.shape, -1.0, np.float32)
        queries = _landmarks(network, traverse.queries, config.num_landmarks)
        for row, query in enumerate(queries):
            own = pooled_cells(_tensor(traverse.queries[row : row + 1])).numpy()[0]
            near = np.argsort(-(cells @ own), kind='stable')[: config.num_candidates]
            found = match_landmarks(query, [database[i] for i in near])
            similarity[row, near] = [matches.similarity for matches in found]
        ranks = ranks_of(similarity, traverse.right)
        recalls[traverse.name] = 100 * float((ranks == 1).mean())
    return recalls


def pooled_cells(patches: Tensor) -> Tensor:
    """What images are alike by before landmarks are matched: (B, D, h, w) -> (B, E), unit length.

    A stand-in for the descriptor, which would have to be fitted on each map.
    """
    cells = F.adaptive_avg_pool2d(F.normalize(patches, dim=1), _CELLS)
    return F.normalize(cells.flatten(1), dim=1)


def _tensor(maps: NDArray[np.float16]) -> Tensor:
    return torch.from_numpy(maps.astype(np.float32))


@torch.inference_mode()
def _patches(file: Path, backbone: Backbone, config: Config) -> NDArray[np.float16]:
    image = to_tensor(read_image(file), config.backbone.image_size)[None]
    return backbone(image.to(backbone.mean.device)).patches[0].half().cpu().numpy()


@torch.inference_mode()
def _landmarks(
    network: LandmarkNetwork, maps: NDArray[np.float16], num_landmarks: int
) -> list[Landmarks]:
    found = []
    for one in maps.astype(np.float32):
        activations = network(torch.from_numpy(one)[None])[0].numpy()
        found.append(select(one, activations, num_landmarks))
    return found

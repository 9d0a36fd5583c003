"""How well landmarks alone find places that their network was not trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cerfevpr_core.backbone import Backbone
from cerfevpr_core.config import Config
from cerfevpr_core.images import read_image, to_tensor
from cerfevpr_core.landmarks.landmarks import Landmarks, select
from cerfevpr_core.landmarks.network import LandmarkNetwork
from cerfevpr_core.landmarks.similarity import match_landmarks
from cerfevpr_core.training.teacher import Track
from cerfevpr_core.training.validation import Traverse, ranks_of


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
    network: LandmarkNetwork, validation: Iterable[SeenTraverse], num_landmarks: int
) -> dict[str, float]:
    """Recall at 1 in percent of each traverse, all images matched by landmarks (eq. 5) alone."""
    recalls = {}
    for traverse in validation:
        database = _landmarks(network, traverse.database, num_landmarks)
        similarity = [
            [matches.similarity for matches in match_landmarks(query, database)]
            for query in _landmarks(network, traverse.queries, num_landmarks)
        ]
        ranks = ranks_of(np.array(similarity, np.float32), traverse.right)
        recalls[traverse.name] = 100 * float((ranks == 1).mean())
    return recalls


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

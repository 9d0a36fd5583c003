"""Feature map -> landmarks, by the network or by one of the landmark paper's baselines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cerfevpr_core.config import LandmarksConfig, Selection
from cerfevpr_core.errors import WeightsError
from cerfevpr_core.landmarks.landmarks import Landmarks, select
from cerfevpr_core.landmarks.network import SHIPPED, TrainedLandmarks, load_landmark_network

Features = NDArray[np.float32]


class LandmarkSelector:
    """Selects the landmarks of feature maps (D, h, w); `selection` says how.

    `lln`: the highest activations of the network. `act`: the strongest features. `rand`: the same
    random cells in every image. `all`: every cell.
    """

    def __init__(self, config: LandmarksConfig, backbone: str) -> None:
        """`backbone` is the hash of its weights. Raises WeightsError."""
        self.num_landmarks = config.num_landmarks
        self.trained = _network(config, backbone)
        self.selection: Selection = config.selection
        if config.selection == 'auto':
            self.selection = 'lln' if self.trained else 'none'

    def select(self, patches: Features) -> Landmarks | None:
        """The landmarks of a feature map; None where none are wanted."""
        if self.selection == 'none':
            return None
        number = patches[0].size if self.selection == 'all' else self.num_landmarks
        return select(patches, self.activations(patches), number)

    def activations(self, patches: Features) -> Features:
        """What cells are selected by: (D, h, w) -> (h, w), none negative."""
        if self.selection == 'act':
            return np.abs(patches).sum(axis=0)
        if self.selection == 'rand':
            return np.random.default_rng(0).random(patches.shape[1:], np.float32)
        if self.selection != 'lln':
            return np.ones(patches.shape[1:], np.float32)
        assert self.trained is not None
        with torch.inference_mode():
            return self.trained.network(torch.from_numpy(patches)[None])[0].numpy()


def _network(config: LandmarksConfig, backbone: str) -> TrainedLandmarks | None:
    """The network where it is needed and knows the backbone; None where auto may do without."""
    if config.selection not in ('auto', 'lln'):
        return None
    file = Path(config.weights).expanduser() if config.weights else SHIPPED
    if config.selection == 'auto' and not config.weights and not file.exists():
        return None
    trained = load_landmark_network(file)
    if trained.backbone == backbone:
        return trained
    if config.selection == 'auto' and not config.weights:
        return None
    raise WeightsError(
        f'{file} knows the features of backbone {trained.backbone}, this is {backbone}; train one '
        'for it with `cerfevpr train landmarks`, or set landmarks.selection to act, all or none'
    )

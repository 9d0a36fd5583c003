"""Settings of landmarks: how they are selected, how they re-rank, how their network is trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Strict
from pydantic.dataclasses import dataclass

_STRICT = ConfigDict(extra='forbid', strict=True, allow_inf_nan=False)
_Count = Annotated[int, Field(ge=1)]

Selection = Literal['auto', 'none', 'lln', 'act', 'rand', 'all']
SELECTIONS: tuple[Selection, ...] = ('lln', 'act', 'rand', 'all')


@dataclass(frozen=True, config=_STRICT)
class LandmarksConfig:
    """Landmarks of an image, and re-ranking by them (the landmark paper's section II-C)."""

    # auto: lln where the network knows the backbone, else none
    selection: Selection = 'auto'
    num_landmarks: Annotated[int, Field(ge=1, le=4096)] = 75  # n: the strongest of an image
    num_candidates: Annotated[int, Field(ge=1, le=1000)] = 30  # that are re-ranked
    # Of the descriptor's similarity beside that of the landmarks; the paper: 0
    descriptor_weight: Annotated[float, Field(ge=0)] = 1.0
    weights: str = ''  # a file of `cerfevpr train landmarks`; empty: the one that ships


@dataclass(frozen=True, config=_STRICT)
class LlnConfig:
    """The landmark localization network and its training (sections II-A, II-B, III-A)."""

    kernel_sizes: Annotated[tuple[_Count, ...], Strict(False), Field(min_length=1)] = (3, 5, 7)
    num_filters: _Count = 16  # of each kernel size
    # matching: by the similarity that re-ranks; embedding: eqs 1 and 2, as in the paper
    loss: Literal['matching', 'embedding'] = 'matching'
    epochs: _Count = 10
    batch_size: _Count = 10  # tuples
    num_negatives: _Count = 4  # K of eq. 2
    negative_pool: _Count = 12  # hardest images of other places, of which K are drawn
    margin: Annotated[float, Field(gt=0)] = 0.3  # m of eq. 2
    temperature: Annotated[float, Field(gt=0)] = 0.05  # of soft matches
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3  # of Adam
    renditions: _Count = 2  # of each image: as it is, and augmented
    queries_per_epoch: Annotated[int, Field(ge=0)] = 0  # 0: every image
    seed: Annotated[int, Field(ge=0)] = 0

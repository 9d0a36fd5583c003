"""Every setting and its default: one typed tree."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, Strict
from pydantic.dataclasses import dataclass

from cerfevpr_core.config.decision import DecisionConfig
from cerfevpr_core.config.landmarks import LandmarksConfig, LlnConfig
from cerfevpr_core.config.loop import LoopConfig
from cerfevpr_core.config.mapping import MappingConfig
from cerfevpr_core.config.sequence import SequenceConfig
from cerfevpr_core.config.verification import VerificationConfig

_STRICT = ConfigDict(extra='forbid', strict=True, allow_inf_nan=False)
_Count = Annotated[int, Field(ge=1)]

Method = Literal['cerfevpr', 'cls', 'gem', 'grid', 'vlad', 'holistic']
TRAINING_FREE: tuple[Method, ...] = ('cls', 'gem', 'grid', 'vlad', 'holistic')


def _positive(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if min(sizes, default=1) < 1:
        raise ValueError('expected whole numbers from 1')
    return sizes


def _height_and_width(size: tuple[int, ...]) -> tuple[int, ...]:
    if len(size) != 2 or min(size) < 32 or max(size) > 4096:
        raise ValueError('expected height and width in pixels, each from 32 to 4096')
    return size


# YAML and ROS have lists where Python has tuples.
_Sizes = Annotated[tuple[int, ...], Strict(False), AfterValidator(_positive)]
_Names = Annotated[tuple[str, ...], Strict(False)]
_ImageSize = Annotated[tuple[int, ...], Strict(False), AfterValidator(_height_and_width)]


@dataclass(frozen=True, config=_STRICT)
class BackboneConfig:
    """Any timm ViT, or the feature map of any timm CNN."""

    name: str = 'tf_efficientnet_lite0.in1k'
    weights: str = ''  # a file; empty: the cache, an installed package, then the model hub
    layer: Annotated[int, Field(ge=-1)] = -1  # ViT block or CNN stage from 0; -1: the usual one
    image_size: _ImageSize = (224, 224)  # height, width; a ViT wants multiples of its patch


@dataclass(frozen=True, config=_STRICT)
class AdapterConfig:
    """Adapters in a frozen ViT (section 3.2); the placements are those of Table 4."""

    placement: Literal[
        'none', 'serial_lka', 'serial_parallel_lka', 'serial_parallel_va', 'serial_va_parallel_lka'
    ] = 'serial_va_parallel_lka'
    hidden_dim: _Count = 192
    scale: Annotated[float, Field(ge=0)] = 0.5  # s of eq. 6


@dataclass(frozen=True, config=_STRICT)
class FusionConfig:
    """Pyramid fusion (eq. 7)."""

    levels: _Sizes = (2, 3, 4)  # none: CLS, and the words if there are any
    num_words: Annotated[int, Field(ge=0)] = 0  # visual words beside the cells
    unit_tokens: bool = False  # every token to unit length


@dataclass(frozen=True, config=_STRICT)
class EncoderConfig:
    """Robust encoder (eqs 8-11). E = descriptor_dim, or else num_tokens * token_dim."""

    num_layers: Annotated[int, Field(ge=0)] = 2
    num_heads: _Count = 8
    ffn_dim: _Count = 2048
    num_tokens: Annotated[int, Field(ge=0)] = 0  # 0: keep T; else W_proj mixes T -> num_tokens
    token_dim: Annotated[int, Field(ge=0)] = 0  # 0: keep D
    # 0: the tokens, flattened; else at most so many, by words and a projection fitted on each map
    descriptor_dim: Annotated[int, Field(ge=0)] = 0
    word_weight: Annotated[float, Field(ge=0, le=1)] = 0.92  # of the words in such a one
    fit_images: _Count = 2000  # of the map that are looked at for it, evenly spread


@dataclass(frozen=True, config=_STRICT)
class VariantsConfig:
    """Renditions of an image under other conditions (section 3.1), made for map images."""

    conditions: _Names = ()  # as summer, winter, day, night; none: the original alone
    at_query: bool = False  # queries too; costs a generator and a forward pass for each
    generators: str = ''  # a folder of trained generators; empty: those that come with the package


@dataclass(frozen=True, config=_STRICT)
class GanConfig:
    """Training of a pair of season generators (section 3.1, eqs 1-3)."""

    num_filters: _Count = 32  # of the generator's first layer
    num_blocks: _Count = 6  # residual blocks of the generator
    discriminator: Literal['patch', 'features', 'both'] = 'patch'  # on pixels, frozen features
    discriminator_filters: _Count = 32  # of a discriminator's first layer
    adversarial: Literal['least_squares', 'cross_entropy'] = 'least_squares'
    discriminator_noise: Annotated[float, Field(ge=0)] = 0.0  # on what it sees, of 1 = white
    contrast: Annotated[float, Field(ge=0)] = 0.0  # weight of the other condition as not real
    adversarial_weight: Annotated[float, Field(gt=0)] = 1.0
    cycle_weight: Annotated[float, Field(ge=0)] = 10.0  # lambda of eq. 1
    identity_weight: Annotated[float, Field(ge=0)] = 5.0
    detail_weight: Annotated[float, Field(ge=0)] = 0.0  # local structure stays as it is
    order_weight: Annotated[float, Field(ge=0)] = 0.0  # what is brighter in a patch stays so
    pool_size: Annotated[int, Field(ge=0)] = 50  # generated images of earlier steps
    crop_px: Annotated[int, Field(ge=32, le=1024)] = 128  # side of the square the networks see
    batch_size: _Count = 1
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4  # of the generators
    discriminator_learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    warmup_steps: Annotated[int, Field(ge=0)] = 0  # generators' learning rate up from 0
    steps: _Count = 20000
    decay_steps: Annotated[int, Field(ge=0)] = 10000  # the last ones: learning rate down to 0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.999  # weights saved: running mean; 0: last
    checkpoint_steps: _Count = 500  # between checkpoints and sample sheets
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, config=_STRICT)
class DescriptorConfig:
    """The trained descriptor of the method cerfevpr."""

    weights: str = ''  # a file of `cerfevpr train descriptor`; empty: the one that ships
    universal: str = ''  # its fit for maps that start empty; empty: the one that ships


@dataclass(frozen=True, config=_STRICT)
class TrainConfig:
    """Training of the descriptor (section 3.5)."""

    epochs: _Count = 10
    num_places: _Count = 72  # of a batch
    images_per_place: Annotated[int, Field(ge=2)] = 4
    steps_per_epoch: Annotated[int, Field(ge=0)] = 0  # 0: each place once
    chunk_size: _Count = 32  # images of one forward pass; the loss is over the whole batch
    alpha: Annotated[float, Field(gt=0)] = 1.0  # of eq. 12
    beta: Annotated[float, Field(gt=0)] = 50.0  # of eq. 12
    base: Annotated[float, Field(ge=-1, le=1)] = 0.0  # lambda of eq. 12
    miner_margin: Annotated[float, Field(ge=0)] = 0.1
    hard_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0  # online hard examples: of the images
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    halve_every: Annotated[int, Field(ge=0)] = 3  # epochs; 0: never
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    amp: Literal['auto', 'off', 'bf16', 'fp16'] = 'auto'  # auto: bf16 on a GPU, off elsewhere
    augment: Annotated[float, Field(ge=0, le=1)] = 0.5  # strength; 0: none
    num_tuned: Annotated[int, Field(ge=0)] = 0  # last blocks or stages of the backbone that learn
    start_images: Annotated[int, Field(ge=2)] = 2500  # that visual words are clustered from
    teacher_weight: Annotated[float, Field(ge=0)] = 0.0  # of staying near the start; 0: free
    variant_dropout: Annotated[float, Field(ge=0, le=1)] = 0.5  # chance to be left out
    radius_m: Annotated[float, Field(gt=0)] = 3.0  # images so near, looking alike, are one place
    max_turn_deg: Annotated[float, Field(gt=0, le=180)] = 40.0  # looking alike: turned at most so
    apart_m: Annotated[float, Field(ge=0)] = 10.0  # places nearer than this share no batch
    min_inliers: _Count = 8  # of two images that overlap, where that is checked
    validation_radius_m: Annotated[float, Field(gt=0)] = 5.0
    patience: Annotated[int, Field(ge=0)] = 3  # epochs without a better recall; 0: never stop
    checkpoint_every_s: Annotated[float, Field(ge=0)] = 600.0  # and after each epoch
    num_workers: Annotated[int, Field(ge=0)] = 0  # processes that read images
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, config=_STRICT)
class GemConfig:
    """Generalised mean pooling."""

    p: Annotated[float, Field(gt=0)] = 3.0


@dataclass(frozen=True, config=_STRICT)
class GridConfig:
    """Average-pooled cells, flattened."""

    num_cells: _Count = 7  # along each side


@dataclass(frozen=True, config=_STRICT)
class VladConfig:
    """Residuals to a vocabulary that is fitted on the map."""

    num_clusters: _Count = 32
    num_features: _Count = 20000  # sampled from the map's images
    num_images: _Count = 500  # at most so many of them are looked at, evenly spread
    seed: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True, config=_STRICT)
class MapConfig:
    """The map and its search."""

    path: str = ''
    traverses: _Names = ()  # of the map that are searched, as day, night; none: all
    top_k: Annotated[int, Field(ge=1, le=1000)] = 5
    index: Literal['flat', 'hnsw', 'ivfpq'] = 'flat'
    thumbnail_px: Annotated[int, Field(ge=0, le=1024)] = 320  # long side; 0: none
    # Below it the decision is UNKNOWN. -1 accepts every nearest keyframe, as recall at 1 does.
    min_similarity: Annotated[float, Field(ge=-1, le=1)] = -1.0


@dataclass(frozen=True, config=_STRICT)
class RuntimeConfig:
    """Where the networks run."""

    device: str = 'auto'  # auto: cuda where there is one; else cpu, cuda, cuda:1, ...
    num_threads: Annotated[int, Field(ge=0)] = 0  # 0: as torch chooses


@dataclass(frozen=True, config=_STRICT)
class Config:
    """The whole tree."""

    method: Method = 'cerfevpr'  # the best on held-out places: docs/results.md
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    adapters: AdapterConfig = field(default_factory=AdapterConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    variants: VariantsConfig = field(default_factory=VariantsConfig)
    descriptor: DescriptorConfig = field(default_factory=DescriptorConfig)
    gem: GemConfig = field(default_factory=GemConfig)
    grid: GridConfig = field(default_factory=GridConfig)
    vlad: VladConfig = field(default_factory=VladConfig)
    landmarks: LandmarksConfig = field(default_factory=LandmarksConfig)
    map: MapConfig = field(default_factory=MapConfig)
    sequence: SequenceConfig = field(default_factory=SequenceConfig)
    verification: VerificationConfig = field(default_factory=VerificationConfig)
    mapping: MappingConfig = field(default_factory=MappingConfig)
    loop: LoopConfig = field(default_factory=LoopConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    runtime: RuntimeConfig = field(default_factory=RuntimeConfig)
    gan: GanConfig = field(default_factory=GanConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    lln: LlnConfig = field(default_factory=LlnConfig)

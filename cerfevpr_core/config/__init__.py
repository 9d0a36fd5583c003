"""Every setting: one typed tree with defaults, filled from YAML, `--set` and ROS parameters."""

from cerfevpr_core.config.decision import DecisionConfig
from cerfevpr_core.config.landmarks import SELECTIONS, LandmarksConfig, LlnConfig, Selection
from cerfevpr_core.config.load import (
    config_from_settings,
    load_config,
    model_settings,
    parse_assignment,
    running_settings,
    save_config,
    settings,
)
from cerfevpr_core.config.loop import LoopConfig
from cerfevpr_core.config.mapping import MappingConfig
from cerfevpr_core.config.sequence import SequenceConfig
from cerfevpr_core.config.tree import (
    TRAINING_FREE,
    AdapterConfig,
    BackboneConfig,
    Config,
    DescriptorConfig,
    EncoderConfig,
    FusionConfig,
    GanConfig,
    GemConfig,
    GridConfig,
    MapConfig,
    Method,
    RuntimeConfig,
    TrainConfig,
    VariantsConfig,
    VladConfig,
)
from cerfevpr_core.config.verification import VerificationConfig

__all__ = [
    'SELECTIONS',
    'TRAINING_FREE',
    'AdapterConfig',
    'BackboneConfig',
    'Config',
    'DecisionConfig',
    'DescriptorConfig',
    'EncoderConfig',
    'FusionConfig',
    'GanConfig',
    'GemConfig',
    'GridConfig',
    'LandmarksConfig',
    'LlnConfig',
    'LoopConfig',
    'MapConfig',
    'MappingConfig',
    'Method',
    'RuntimeConfig',
    'Selection',
    'SequenceConfig',
    'TrainConfig',
    'VariantsConfig',
    'VerificationConfig',
    'VladConfig',
    'config_from_settings',
    'load_config',
    'model_settings',
    'parse_assignment',
    'running_settings',
    'save_config',
    'settings',
]

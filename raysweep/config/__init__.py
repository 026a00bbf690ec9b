"""The sweep's settings: a frozen tree, parsed from YAML and `key=value` overrides."""

from raysweep.config.load import load_config, to_yaml
from raysweep.config.sections import (
    Asha,
    DataSection,
    GridSearch,
    HyperoptSearch,
    LoraTrainer,
    RandomSearch,
    SyntheticTrainer,
    Threshold,
)
from raysweep.config.sweep import SweepConfig

__all__ = [
    "Asha",
    "DataSection",
    "GridSearch",
    "HyperoptSearch",
    "LoraTrainer",
    "RandomSearch",
    "SweepConfig",
    "SyntheticTrainer",
    "Threshold",
    "load_config",
    "to_yaml",
]

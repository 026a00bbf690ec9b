"""The sweep's settings: a frozen tree, parsed from YAML and `key=value` overrides."""

from raysweep.config.kinds import PluginSearch, PluginTrainer
from raysweep.config.load import load_config, shipped_file, to_yaml
from raysweep.config.search import EarlierRuns, GridSearch, HyperoptSearch, OptunaSearch, RandomSearch
from raysweep.config.sections import (
    Asha,
    DataSection,
    LoraTrainer,
    Section,
    SyntheticTrainer,
    Threshold,
)
from raysweep.config.sweep import SweepConfig
from raysweep.config.wire import WireTrainer

__all__ = [
    "Asha",
    "DataSection",
    "EarlierRuns",
    "GridSearch",
    "HyperoptSearch",
    "LoraTrainer",
    "OptunaSearch",
    "PluginSearch",
    "PluginTrainer",
    "RandomSearch",
    "Section",
    "SweepConfig",
    "SyntheticTrainer",
    "Threshold",
    "WireTrainer",
    "load_config",
    "shipped_file",
    "to_yaml",
]

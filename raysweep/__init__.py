"""raysweep finds the best fine-tune of a language model for a task and a budget."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from raysweep.config import load_config
    from raysweep.results import Results, load
    from raysweep.sweep import Options, run_sweep

__all__ = ["Options", "Results", "load", "load_config", "run_sweep"]


def __getattr__(name: str) -> object:
    """The public names, each imported when it is first used: `import raysweep` itself loads nothing heavy."""
    from importlib import import_module

    homes = {
        "Options": "raysweep.sweep",
        "Results": "raysweep.results",
        "load": "raysweep.results",
        "load_config": "raysweep.config",
        "run_sweep": "raysweep.sweep",
    }
    if name not in homes:
        raise AttributeError(f"module 'raysweep' has no attribute {name!r}")
    return vars(import_module(homes[name]))[name]

"""Recorders: views of a sweep that its settings name, ours and those that other packages bring."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from raysweep import plugins
from raysweep.errors import ConfigError
from raysweep.views.view import View
from raysweep.views.words import without_credentials


@runtime_checkable
class RecorderPlugin(Protocol):
    """What an entry point of the group `raysweep.recorders` is: a view's class, or a function that gives one."""

    def __call__(self, folder: Path) -> View:
        """A view of the sweep in this folder, which exists. It is called again for each session of a sweep."""
        ...


def load_recorders(names: Sequence[str]) -> tuple[RecorderPlugin, ...]:
    """The recorders of these names, not yet at work; raises ConfigError for one that cannot be imported or called."""
    return tuple(_load(name) for name in names)


def make_recorders(names: Sequence[str], folder: Path) -> tuple[View, ...]:
    """The recorders at work on the sweep in this folder; raises ConfigError for one that cannot begin."""
    return tuple(_make(name, recorder, folder) for name, recorder in zip(names, load_recorders(names), strict=True))


def _make(name: str, recorder: RecorderPlugin, folder: Path) -> View:
    try:
        return recorder(folder)
    except ConfigError:
        raise
    except Exception as error:  # another's code may raise anything; nothing is spent yet
        words = without_credentials(f"{type(error).__name__}: {error}")
        raise ConfigError(
            f"{plugins.RECORDERS}: {name} cannot begin: {words}; mend it, or leave it out of `recorders`"
        ) from error


def _load(name: str) -> RecorderPlugin:
    if name in plugins.SHIPPED_RECORDERS:
        return _shipped(name)
    plugin = plugins.load(plugins.RECORDERS, name)
    if not isinstance(plugin, RecorderPlugin):
        raise ConfigError(f"{plugins.RECORDERS}: {name}: {plugin!r} cannot be called; its package has to be mended")
    return plugin


def _shipped(name: str) -> RecorderPlugin:
    plugins.refuse_taken(plugins.RECORDERS, name)
    try:
        if name == "mlflow":
            from raysweep.views.mlflow import recorder
        else:
            from raysweep.views.wandb import recorder
    except ImportError as error:
        raise ConfigError(
            f"recorders: {name}: {error}; pip install 'raysweep[{name}]', or leave it out of `recorders`"
        ) from error
    return recorder

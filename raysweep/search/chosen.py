"""The proposer that a sweep's settings choose: raysweep's own, or one that another package brings."""

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel

from raysweep import plugins
from raysweep.config import GridSearch, HyperoptSearch, OptunaSearch, PluginSearch, RandomSearch
from raysweep.errors import ConfigError
from raysweep.search.propose import PointsFirst, Proposer, initial_points, make_proposer
from raysweep.space import Params, Space

S = TypeVar("S", bound=BaseModel)
SearchSettings = HyperoptSearch | OptunaSearch | RandomSearch | GridSearch | PluginSearch


@runtime_checkable
class ProposerPlugin(Protocol[S]):
    """What an entry point of the group `raysweep.proposers` is: an object, a class or a module with these two."""

    @property
    def settings(self) -> type[S]:
        """The proposer's own settings, which stand beside `search.kind`: a subclass of `raysweep.config.Section`."""
        ...

    def make(self, space: Space, settings: S, *, seed: int, n_trials: int) -> Proposer:
        """A fresh proposer for a sweep of so many trials; the same arguments give the same suggestions.

        Raises SpaceError for a space that it cannot search.
        """
        ...


def chosen_proposer(
    settings: SearchSettings, space: Space, *, seed: int, n_trials: int, points: Sequence[Params]
) -> Proposer:
    """A fresh proposer that begins with the default configuration (if the settings want it) and the given points.

    Raises SpaceError for a point outside the space and for a space that the proposer cannot search.
    """
    if isinstance(settings, PluginSearch):
        first = initial_points(space, points, default_first=settings.default_first)
        plugin = _load(settings)
        return PointsFirst(first, plugin.make(space, settings.settings, seed=seed, n_trials=n_trials))
    return make_proposer(
        settings.kind,
        space,
        seed=seed,
        n_trials=n_trials,
        points=points,
        default_first=not isinstance(settings, GridSearch) and settings.default_first,
        random_start=settings.random_start if isinstance(settings, HyperoptSearch | OptunaSearch) else None,
    )


def _load(settings: PluginSearch) -> ProposerPlugin[BaseModel]:
    plugin = plugins.load(plugins.PROPOSERS, settings.kind, settings.SHIPPED)
    if not isinstance(plugin, ProposerPlugin):
        place = f"{plugins.PROPOSERS}: {settings.kind}"
        raise ConfigError(f"{place}: {plugin!r} has no `make`; its package has to be mended")
    return plugin

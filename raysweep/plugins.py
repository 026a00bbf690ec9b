"""What other packages add: trainers, proposers, recorders and metrics, found by their entry points."""

import difflib
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points

from raysweep.errors import ConfigError

TRAINERS = "raysweep.trainers"
"""Entry points of this group are `raysweep.trainers.TrainerPlugin`s."""
PROPOSERS = "raysweep.proposers"
"""Entry points of this group are `raysweep.search.chosen.ProposerPlugin`s."""
RECORDERS = "raysweep.recorders"
"""Entry points of this group are called with the sweep's folder and give a `raysweep.views.view.View`."""
SHIPPED_RECORDERS = ("mlflow", "wandb")
"""The recorders of raysweep itself; each needs the extra of its name."""
METRICS = "raysweep.metrics"
"""Entry points of this group are metrics; see `raysweep.scoring`."""


def names(group: str) -> tuple[str, ...]:
    """What the installed packages offer in this group, by name, ascending."""
    return tuple(sorted(_offers(group)))


def load(group: str, name: str, shipped: Collection[str] = ()) -> object:
    """The object behind a plug-in's name; importing it runs its package's code.

    `shipped` are the names that raysweep itself has in this group. Raises ConfigError for an unknown name with the
    nearest one, for a plug-in that cannot be imported with its package and the cause, for a name that two packages
    offer, and for one that raysweep itself has.
    """
    if name in shipped:
        refuse_taken(group, name)
    offers = _offers(group)
    if name not in offers:
        raise ConfigError(unknown(group, name, shipped))
    offered = offers[name]
    if len(offered) > 1:
        packages = " and ".join(sorted(map(_package, offered)))
        raise ConfigError(f"{_noun(group)} {name}: {packages} both offer it ({group}); uninstall one of them")
    (entry,) = offered
    try:
        return entry.load()
    except Exception as error:  # a module may raise anything while it is imported
        raise ConfigError(
            f"{_noun(group)} {name}: {entry.value} of the package {_package(entry)} cannot be imported: "
            f"{type(error).__name__}: {error}; mend or uninstall that package"
        ) from error


def refuse_taken(group: str, name: str) -> None:
    """Raise ConfigError where an installed package offers this name, which raysweep itself has."""
    offered = _offers(group).get(name, ())
    if offered:
        packages = " and ".join(sorted(map(_package, offered)))
        raise ConfigError(
            f"{_noun(group)} {name}: raysweep itself has one of that name, and so has {packages} ({group}); nobody "
            "could tell which is meant: uninstall that package, or give its entry point another name"
        )


def unknown(group: str, name: object, shipped: Collection[str] = ()) -> str:
    """What is said of a name that neither raysweep nor a package has: the nearest one, all, and how to add one."""
    known = sorted({*shipped, *names(group)})
    nearest = difflib.get_close_matches(str(name), known, n=1)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    listed = f"known: {', '.join(known)}; " if known else ""
    return (
        f"{name!r} is no {_noun(group)}; {hint}{listed}"
        f"a package that is installed offers more by an entry point of the group {group}"
    )


def _offers(group: str) -> Mapping[str, Sequence[EntryPoint]]:
    """By name; more than one where packages are at odds."""
    offers: dict[str, list[EntryPoint]] = defaultdict(list)
    for entry in entry_points(group=group):
        offers[entry.name].append(entry)
    return dict(offers)


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value


def _noun(group: str) -> str:
    return group.rpartition(".")[2].removesuffix("s")

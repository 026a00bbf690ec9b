"""The seam between a sweep and whatever shows it: a view is handed every new entry and the state after it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from raysweep.entries import Entry
from raysweep.space import Params
from raysweep.state import SweepState

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """What views are told once, because no entry says it."""

    folder: Path
    """The sweep's."""
    concurrency: int
    """How many trials run at once."""
    budget_epochs: Callable[[Params], float]
    """A trial's own budget, from its params."""
    rungs_epochs: Callable[[Params], tuple[float, ...]]
    """Where a trial is compared with others, from its params; ascending, empty where nothing is stopped."""
    attempts: int = 1
    """How often a trial may be tried in all."""
    cluster: str = ""
    """Where the trials run, in a few words."""
    max_usd: float | None = None
    """What the sweep may spend; None: no limit, or nothing costs anything."""
    notice: str = ""
    """What everybody who looks at the sweep has to know; empty for most."""


class View(Protocol):
    """Shows a sweep while it runs. Called from one thread."""

    def show(self, entry: Entry, state: SweepState) -> None:
        """One new entry, and the state after it; entries of earlier sessions come only within the state."""
        ...

    def tick(self) -> None:
        """Time passed without an entry; called about twice a second."""
        ...

    def close(self, state: SweepState) -> None:
        """The last call: show the end and let go of everything; idempotent."""
        ...


class FanOut:
    """A view that hands everything on to several; one that raises is logged once and the others go on."""

    def __init__(self, views: Sequence[View]) -> None:
        self._views = tuple(views)
        self._logged: set[int] = set()
        self._gone: set[int] = set()

    def show(self, entry: Entry, state: SweepState) -> None:
        """One new entry, to each view."""
        self._each(lambda view: view.show(entry, state))

    def tick(self) -> None:
        """Time passed, for each view."""
        self._each(lambda view: view.tick())

    def close(self, state: SweepState) -> None:
        """Close each view, whatever the others do."""
        self._each(lambda view: view.close(state))

    def _each(self, call: Callable[[View], None]) -> None:
        for place, view in enumerate(self._views):
            if place in self._gone:
                continue
            try:
                call(view)
            except BrokenPipeError:  # nobody reads any more
                self._gone.add(place)
            except Exception:  # noqa: BLE001  # a view must not end a sweep that costs money
                if place not in self._logged:
                    self._logged.add(place)
                    _LOG.exception("%s failed; the sweep goes on, further failures are not logged", type(view).__name__)

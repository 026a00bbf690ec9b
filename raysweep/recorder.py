"""Every entry's one way: into the ledger first, then into the state, then to the views."""

import logging
from typing import Protocol

from raysweep.clock import Clock, RealClock
from raysweep.entries import Entry
from raysweep.errors import DiskError
from raysweep.state import SweepState

_LOG = logging.getLogger(__name__)

PATIENCE_S = 120.0
"""How long a disk that is full or gone is waited for: a minute's outage, or somebody who makes room."""
RETRY_S = 2.0


class Listener(Protocol):
    """Is told of each entry once it is on disk."""

    def show(self, entry: Entry, state: SweepState) -> None:
        """One new entry, and the state after it."""
        ...


class Writer(Protocol):
    """Where entries are kept: a ledger."""

    def append(self, entry: Entry) -> None:
        """Write one entry through; raises DiskError, and can be asked again after that."""
        ...


class Recorder:
    """Writes a sweep's ledger and keeps its state, which begins with what the ledger holds already."""

    def __init__(
        self,
        ledger: Writer,
        listener: Listener,
        state: SweepState | None = None,
        *,
        clock: Clock | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._ledger = ledger
        self._listener = listener
        self._clock = clock or RealClock()
        self._patience_s = patience_s
        self.state = state or SweepState()

    def record(self, entry: Entry) -> None:
        """Write the entry through, waiting for a disk that is full or gone; raises DiskError when it stays so.

        Then nobody is told of the entry. The driver waits meanwhile, the jobs go on to their next evaluation.
        """
        self._append(entry)
        self.state = self.state.apply(entry)
        self._listener.show(entry, self.state)

    def hurry(self) -> None:
        """Wait for no disk any more; somebody wants the sweep to end."""
        self._patience_s = 0.0

    def _append(self, entry: Entry) -> None:
        began_s = self._clock.monotonic_s()
        while True:
            try:
                return self._ledger.append(entry)
            except DiskError as error:
                waited_s = self._clock.monotonic_s() - began_s
                if waited_s >= self._patience_s:
                    self.hurry()  # what is to be written at the end shall not wait once more, each time
                    raise
                if waited_s < RETRY_S:
                    _LOG.warning("%s; the sweep waits for it, %.0f s at most", error, self._patience_s)
            self._clock.sleep_s(RETRY_S)

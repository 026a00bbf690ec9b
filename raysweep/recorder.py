"""Every entry's one way: into the ledger first, then into the state, then to the views."""

from typing import Protocol

from raysweep.entries import Entry
from raysweep.ledger import Ledger
from raysweep.state import SweepState


class Listener(Protocol):
    """Is told of each entry once it is on disk."""

    def show(self, entry: Entry, state: SweepState) -> None:
        """One new entry, and the state after it."""
        ...


class Recorder:
    """Writes a sweep's ledger and keeps its state."""

    def __init__(self, ledger: Ledger, listener: Listener) -> None:
        self._ledger = ledger
        self._listener = listener
        self.state = SweepState()

    def record(self, entry: Entry) -> None:
        """Write the entry through; raises DiskError when that fails, and then nobody is told."""
        self._ledger.append(entry)
        self.state = self.state.apply(entry)
        self._listener.show(entry, self.state)

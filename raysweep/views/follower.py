"""A view that hands a sweep to a tracker in a thread of its own, so that a slow or dead tracker holds up nothing."""

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from raysweep.entries import Entry
from raysweep.state import SweepState
from raysweep.views.words import without_credentials

_LOG = logging.getLogger(__name__)

RETRY_S = 10.0
"""Between two tries at a tracker that fails."""
CLOSE_S = 60.0
"""How long the end of a sweep waits for its tracker to be told of it."""
SILENT_S = 3.0
"""How long it does so without a word."""


REMEDY = "what it lacks it is told by `raysweep resume`"


class Tracker(Protocol):
    """Keeps runs elsewhere; called from one thread."""

    def follow(self, state: SweepState) -> None:
        """Make its runs say what the state says, whatever they say already; may raise anything, and is asked again."""
        ...

    def leave(self, state: SweepState) -> None:
        """Let go of everything; the sweep has ended, or its session has."""
        ...


class Follower:
    """The tracker is told of the latest state alone: what it missed while it was away, it is told with the next one.

    A failure is logged once, without the credentials that an address may hold, and tried again.
    """

    def __init__(self, name: str, tracker: Tracker, *, retry_s: float = RETRY_S, close_s: float = CLOSE_S) -> None:
        self._name = name
        self._tracker = tracker
        self._retry_s = retry_s
        self._close_s = close_s
        self._latest = SweepState()
        self._changed = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_logged = False

    def show(self, entry: Entry, state: SweepState) -> None:
        """Remember the state and return."""
        if not self._closing.is_set():
            self._tell(state)

    def tick(self) -> None:
        """Nothing: the thread keeps its own time."""

    def close(self, state: SweepState) -> None:
        """Wait until the tracker knows the end, `close_s` at most; idempotent."""
        if self._closing.is_set():
            return
        self._latest = state  # before the thread can see that it is the last one
        self._closing.set()
        thread = self._tell(state)
        thread.join(min(SILENT_S, self._close_s))
        if thread.is_alive() and self._close_s > SILENT_S:
            _LOG.warning(
                "%s is not told of the sweep's end yet; it is waited for, %.0f s at most", self._name, self._close_s
            )
            thread.join(self._close_s - SILENT_S)
        if thread.is_alive():
            _LOG.warning(
                "%s has not answered for %.0f s and is left behind: it may lack the sweep's end; %s",
                self._name,
                self._close_s,
                REMEDY,
            )

    def _tell(self, state: SweepState) -> threading.Thread:
        self._latest = state
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=f"raysweep-{self._name}", daemon=True)
            self._thread.start()
        self._changed.set()
        return self._thread

    def _run(self) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            is_last, state = self._closing.is_set(), self._latest
            is_told = self._try(self._tracker.follow, state)
            if is_last:
                if not is_told:
                    _LOG.warning("%s was not told of the sweep's end; %s", self._name, REMEDY)
                self._try(self._tracker.leave, state)
                return
            if not is_told and not self._closing.wait(self._retry_s):
                self._changed.set()

    def _try(self, call: Callable[[SweepState], None], state: SweepState) -> bool:
        if state.started is None:
            return True
        try:
            call(state)
        except Exception as error:  # noqa: BLE001  # another's client may raise anything; the sweep costs money
            self._log(error)
            return False
        return True

    def _log(self, error: Exception) -> None:
        if not self._is_logged:
            self._is_logged = True
            words = without_credentials(f"{type(error).__name__}: {error}")
            _LOG.warning("%s failed; the sweep goes on and tries again: %s", self._name, words)

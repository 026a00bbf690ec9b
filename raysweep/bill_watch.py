"""While a sweep goes on: what its ended trials' jobs cost is asked of their host, until it has shown each job final."""

import logging
import threading

from raysweep.errors import RaysweepError
from raysweep.jobs import JobView
from raysweep.reconcile import cancel, plan
from raysweep.settlement import Settlement

_LOG = logging.getLogger(__name__)

FIRST_S, LONGEST_S = 2.0, 60.0
"""The waits between two looks at the host: twice as long each time that a job was not final yet."""
LEAVE_S = 10.0
"""How long a look that is under way is waited for at the end."""


class BillWatch:
    """Looks from a thread of its own, so that a slow host holds nobody up; what it found is written down by `tick`."""

    def __init__(self, settlement: Settlement) -> None:
        self._settlement = settlement
        self._thread: threading.Thread | None = None
        self._found: tuple[JobView, ...] | None = None
        self._owed: frozenset[int] = frozenset()
        self._wait_s = FIRST_S
        self._due_s = 0.0
        self._is_closed = False

    def tick(self) -> None:
        """Time has passed; raises RaysweepError where a settlement cannot be written down."""
        if self._thread is not None and self._thread.is_alive():
            return
        found, self._thread, self._found = self._found, None, None
        if found is not None:
            self._settlement.settle(found)
        now_s = self._settlement.clock.monotonic_s()
        owed = frozenset(trial.number for trial in self._settlement.recorder.state.owed)
        if owed - self._owed:
            self._wait_s, self._due_s = FIRST_S, now_s + FIRST_S
        self._owed = owed
        if owed and now_s >= self._due_s:
            self._wait_s = min(2 * self._wait_s, LONGEST_S)
            self._due_s = now_s + self._wait_s
            self._thread = threading.Thread(target=self._look, name="bills", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Look no more; what is still to be said is asked for by whoever ends the session."""
        self._is_closed = True
        if self._thread is not None:
            self._thread.join(LEAVE_S)

    def _look(self) -> None:
        """Jobs of ended trials that are not final are cancelled once more."""
        settlement = self._settlement
        try:
            listed = tuple(settlement.trainer.jobs(settlement.sweep_id))
            planned = plan(settlement.recorder.state, listed, is_over=False)
            for problem in () if self._is_closed else cancel(settlement.trainer, planned.cancels).values():
                _LOG.warning("%s", problem)
        except RaysweepError as error:
            _LOG.warning("what ended trials have cost cannot be asked: %s", error)
        else:
            self._found = listed

"""Whose turn it is: trials that wait to be taken up again, then those that the search suggests, if they can be paid."""

from collections.abc import Callable

from raysweep.clock import Clock
from raysweep.entries import BUDGET_USED
from raysweep.jobs import JobSpec
from raysweep.search.history import Done, History, Suggestion, Wait
from raysweep.search.replicas import Replicas
from raysweep.tuning.purse import Purse

PATIENCE_S = 900.0
"""How long a sweep waits that could go on only with money which ended trials hold until their host speaks."""


class Turns:
    """Keeps the trials that wait, and one that was suggested but cannot be paid yet."""

    def __init__(
        self, history: History | Replicas, make_spec: Callable[[Suggestion], JobSpec], purse: Purse, clock: Clock
    ) -> None:
        self._history = history
        self._make_spec = make_spec
        self._purse = purse
        self._clock = clock
        self._waiting: dict[int, tuple[float, JobSpec]] = {}
        self._asked: JobSpec | None = None
        self._owed: tuple[float, float] = (0.0, 0.0)
        """How much ended trials hold, and since when it has been so much."""

    def take_up(self, spec: JobSpec, wait_s: float) -> None:
        """A trial that holds a slot already waits to be worked on again."""
        self._waiting[spec.trial] = (self._clock.monotonic_s() + wait_s, spec)

    def drop(self, trial: int) -> None:
        """A trial waits no longer."""
        self._waiting.pop(trial, None)

    def next(self, n_live: int, concurrency: int) -> JobSpec | Wait | Done | str:
        """The next trial, which then no longer waits; or why nobody's job can be paid any more, in words.

        While others run or hold money, one that cannot be paid waits: their end may free some.
        """
        spec = self._due(n_live < concurrency)
        if not isinstance(spec, JobSpec):
            return Wait() if self._waiting or n_live else spec  # who runs may be lost, and tried again
        lack = self._purse.lack(spec)
        if lack is None:
            self._take(spec)
            return spec
        may_free = n_live or any(self._purse.lack(one) is None for _, one in self._waiting.values())
        return Wait() if may_free or self._may_be_settled() else f"{BUDGET_USED}: {lack}"

    def _may_be_settled(self) -> bool:
        """Whether a host may still say that what ended trials hold was not all used."""
        owed_usd, now_s = self._purse.owed_usd, self._clock.monotonic_s()
        if owed_usd != self._owed[0]:
            self._owed = (owed_usd, now_s)
        return owed_usd > 0 and now_s - self._owed[1] < PATIENCE_S

    def _due(self, has_slot: bool) -> JobSpec | Wait | Done:
        now_s = self._clock.monotonic_s()
        due = [spec for _, (due_s, spec) in sorted(self._waiting.items()) if due_s <= now_s] if has_slot else []
        if due:
            return next((spec for spec in due if self._purse.lack(spec) is None), due[0])
        if self._asked is None:
            suggestion = self._history.ask()
            if not isinstance(suggestion, Suggestion):
                return suggestion
            self._asked = self._make_spec(suggestion)
        return self._asked

    def _take(self, spec: JobSpec) -> None:
        if spec.trial in self._waiting:
            self.drop(spec.trial)
        else:
            self._asked = None

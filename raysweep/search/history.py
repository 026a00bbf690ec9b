"""What was asked, measured and told in a sweep: who may start, under which number, and what the proposer learns."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from raysweep.dimensions import Params
from raysweep.goal import Goal
from raysweep.jobs import Outcome
from raysweep.search.propose import Proposer


@dataclass(frozen=True)
class Suggestion:
    """A trial to start."""

    number: int
    params: Params


@dataclass(frozen=True)
class Wait:
    """Nothing to start before another trial has ended."""


@dataclass(frozen=True)
class Done:
    """No trial will be started any more."""


@dataclass
class _Trial:
    params: Params
    losses: list[float] = field(default_factory=list)
    outcome: Outcome | None = None


def told(outcome: Outcome, losses: Sequence[float], worst: float | None) -> float | None:
    """The loss that the proposer is told of a trial that ended, None for nothing.

    `losses`: its evaluations in order. `worst`: the worst finite loss of the sweep so far, its own included.
    Completed and pruned trials count by their last evaluation; where that is missing or not finite, and where their
    params made them fail, they count as the worst. Errored and cancelled ones say nothing about their params.
    """
    match outcome:
        case Outcome.ERRORED | Outcome.CANCELLED:
            return None
        case Outcome.FAILED:
            return worst
        case Outcome.COMPLETED | Outcome.PRUNED:
            return losses[-1] if losses and math.isfinite(losses[-1]) else worst


class History:
    """Numbers the trials, counts the slots, passes results on.

    `lag`: ask number k is shown the results of exactly the trials before `k - lag`, in their order, and waits until
    those have ended; then the same seed and the same results give the same suggestions in whatever order results
    arrive. None: every result is shown at once.
    It can be rebuilt: `adopt`, `record` and `end` in the order of a record give the state that the record was made in.
    """

    def __init__(
        self, proposer: Proposer, goal: Goal, *, n_trials: int, concurrency: int, lag: int | None = None
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency: {concurrency} leaves no slot for a trial; give at least 1")
        if lag is not None and lag < 0:
            raise ValueError(f"lag: {lag} would show results that do not exist; give at least 0")
        self._proposer = proposer
        self._goal = goal
        self._n_trials = n_trials
        self._concurrency = concurrency
        self._lag = lag
        self._trials: list[_Trial] = []
        self._is_closed = False
        self._worst: float | None = None
        self._shown = 0
        self._owed: list[int] = []

    @property
    def running(self) -> tuple[Suggestion, ...]:
        """The trials that hold a slot, by number."""
        return tuple(
            Suggestion(number, trial.params) for number, trial in enumerate(self._trials) if trial.outcome is None
        )

    def ask(self) -> Suggestion | Wait | Done:
        """The next trial, which holds a slot until `end`."""
        number = len(self._trials)
        if self._is_closed or number >= self._n_trials:
            return Done()
        if len(self.running) >= self._concurrency or not self._has_seen_enough(number):
            return Wait()
        self._show_due(number)
        params = self._proposer.ask(number)
        if params is None:
            self.close()
            return Done()
        self._trials.append(_Trial(params))
        return Suggestion(number, params)

    def adopt(self, number: int, params: Params) -> None:
        """Takes up a trial from the record, in place of the `ask` that made it, slots or not.

        Raises ValueError when it is not the next number.
        """
        if number != len(self._trials):
            raise ValueError(f"trial {number} is out of order; the record goes on with trial {len(self._trials)}")
        self._show_due(number)
        self._proposer.adopt(number, params)
        self._trials.append(_Trial(params))

    def record(self, number: int, value: float, resource: float) -> None:
        """An evaluation of a trial; one that comes after its end changes nothing."""
        trial = self._known(number)
        if trial.outcome is None:
            trial.losses.append(self._goal.loss(value))

    def end(self, number: int, outcome: Outcome) -> None:
        """The trial gives its slot back; a second end of the same trial changes nothing."""
        trial = self._known(number)
        if trial.outcome is not None:
            return
        trial.outcome = outcome
        if self._lag is None:
            self._show(number)

    def close(self) -> None:
        """Starts no further trial: a target was reached or the time is up."""
        self._is_closed = True

    def _known(self, number: int) -> _Trial:
        if not 0 <= number < len(self._trials):
            raise ValueError(f"trial {number} was never asked for; there are {len(self._trials)}")
        return self._trials[number]

    def _has_seen_enough(self, number: int) -> bool:
        if self._lag is None:
            return True
        return all(trial.outcome is not None for trial in self._trials[: max(0, number - self._lag)])

    def _show_due(self, number: int) -> None:
        if self._lag is None:
            return
        for due in range(self._shown, max(0, number - self._lag)):
            self._show(due)
        self._shown = max(self._shown, number - self._lag)

    def _show(self, number: int) -> None:
        finite = [loss for loss in self._trials[number].losses if math.isfinite(loss)]
        known = finite if self._worst is None else [*finite, self._worst]
        self._worst = max(known, default=None)
        self._owed.append(number)
        self._owed = [owed for owed in self._owed if not self._tell(owed)]

    def _tell(self, number: int) -> bool:
        """Whether the proposer could be told; the worst loss is unknown until the first finite one."""
        trial = self._trials[number]
        outcome = Outcome.ERRORED if trial.outcome is None else trial.outcome
        loss = told(outcome, trial.losses, self._worst)
        if loss is None and outcome not in (Outcome.ERRORED, Outcome.CANCELLED):
            return False
        self._proposer.tell(number, loss)
        return True

"""What a ledger says, folded: the sweep and its trials as they stand after any number of entries."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from raysweep.goal import Goal
from raysweep.jobs import Outcome
from raysweep.ledger import (
    CancelRequested,
    Entry,
    Evaluated,
    FinalScored,
    JobAccepted,
    SweepEnded,
    SweepStarted,
    TrialEnded,
    TrialProposed,
)
from raysweep.space import Params


@dataclass(frozen=True)
class TrialState:
    """One trial so far."""

    proposed: TrialProposed
    job: JobAccepted | None = None
    evaluations: tuple[Evaluated, ...] = ()
    stopping: CancelRequested | None = None
    ended: TrialEnded | None = None
    attempts: int = 1
    started_at: datetime | None = None
    """When its first attempt was proposed."""

    @property
    def number(self) -> int:
        """The trial's number, from 0."""
        return self.proposed.trial

    @property
    def params(self) -> Params:
        """Its complete hyperparameters."""
        return self.proposed.params

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it runs."""
        return self.ended.outcome if self.ended else None

    @property
    def last(self) -> Evaluated | None:
        """Its latest evaluation."""
        return self.evaluations[-1] if self.evaluations else None

    @property
    def trained_tokens(self) -> int:
        """What it has trained so far, as far as it is known."""
        seen = self.last.trained_tokens if self.last else 0
        return max(seen, self.ended.trained_tokens) if self.ended else seen


@dataclass(frozen=True)
class SweepState:
    """A sweep so far; `apply` gives the next state."""

    started: SweepStarted | None = None
    trials: Mapping[int, TrialState] = field(default_factory=dict)
    finals: tuple[FinalScored, ...] = ()
    ended: SweepEnded | None = None

    @property
    def goal(self) -> Goal:
        """The objective; raises ValueError before the first entry."""
        if self.started is None or self.started.mode not in ("max", "min"):
            raise ValueError("the sweep has not started")
        return Goal(self.started.metric, "max" if self.started.mode == "max" else "min")

    @property
    def best(self) -> TrialState | None:
        """The best completed trial; the earlier one where two are equal."""
        goal = self.goal
        scored = [
            (goal.loss(trial.ended.objective), trial.number, trial)
            for trial in self.trials.values()
            if trial.ended and trial.ended.outcome is Outcome.COMPLETED and trial.ended.objective is not None
        ]
        return min(scored)[2] if scored else None

    def apply(self, entry: Entry) -> "SweepState":  # noqa: PLR0911  # one a kind of entry
        """The state after one more entry; raises KeyError for a trial that was never proposed."""
        match entry:
            case SweepStarted():
                return replace(self, started=self.started or entry, ended=None)
            case TrialProposed():
                return self._with(_proposed(self.trials.get(entry.trial), entry))
            case JobAccepted():
                return self._with(replace(self.trials[entry.trial], job=entry))
            case Evaluated():
                trial = self.trials[entry.trial]
                return self._with(replace(trial, evaluations=(*trial.evaluations, entry)))
            case CancelRequested():
                return self._with(replace(self.trials[entry.trial], stopping=entry))
            case TrialEnded():
                return self._with(replace(self.trials[entry.trial], ended=entry))
            case FinalScored():
                return replace(self, finals=(*self.finals, entry))
            case SweepEnded():
                return replace(self, ended=entry)
            case _:
                assert_never(entry)

    def _with(self, trial: TrialState) -> "SweepState":
        return replace(self, trials={**self.trials, trial.number: trial})


def fold(entries: Iterable[Entry]) -> SweepState:
    """The state after all entries."""
    state = SweepState()
    for entry in entries:
        state = state.apply(entry)
    return state


def _proposed(before: TrialState | None, entry: TrialProposed) -> TrialState:
    if before is None:
        return TrialState(proposed=entry, started_at=entry.at)
    return replace(before, proposed=entry, job=None, ended=None, stopping=None, attempts=before.attempts + 1)

"""What a ledger says of one trial, folded."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from raysweep.entries import (
    LEFT_RUNNING,
    CancelRequested,
    Evaluated,
    JobAccepted,
    JobSettled,
    TrialEnded,
    TrialInterrupted,
    TrialProposed,
)
from raysweep.errors import Fault
from raysweep.jobs import Outcome
from raysweep.space import Params
from raysweep.spending import Account


@dataclass(frozen=True)
class TrialState:
    """One trial so far."""

    proposed: TrialProposed
    job: JobAccepted | None = None
    evaluations: tuple[Evaluated, ...] = ()
    stopping: CancelRequested | None = None
    ended: TrialEnded | None = None
    attempts: int = 1
    interruptions: tuple[TrialInterrupted, ...] = ()
    """Each time that nobody worked on it any more although it had not ended."""
    is_waiting: bool = False
    """Whether it has not ended and nobody works on it: a further attempt is to come."""
    ended_waiting: bool = False
    """Whether nobody worked on it when it ended: no further attempt was begun, or might be made."""
    started_at: datetime | None = None
    """When its first attempt was proposed."""
    account: Account = field(default_factory=Account)
    """Its money."""

    @property
    def number(self) -> int:
        """The trial's number, from 0."""
        return self.proposed.trial

    @property
    def params(self) -> Params:
        """Its complete hyperparameters."""
        return self.proposed.params

    @property
    def replica_of(self) -> int | None:
        """The finalist that it repeats with another seed; None for a trial of the search."""
        return self.proposed.replica_of

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None while it runs."""
        return self.ended.outcome if self.ended else None

    @property
    def last(self) -> Evaluated | None:
        """Its latest evaluation."""
        return self.evaluations[-1] if self.evaluations else None

    @property
    def attempt(self) -> int:
        """The number of its latest attempt."""
        return self.proposed.attempt

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Whose fault each of its interruptions was, the latest last; those that were nobody's are left out."""
        return tuple(one.fault for one in self.interruptions if one.fault is not None)

    @property
    def due_at(self) -> datetime | None:
        """When the further attempt that it waits for may begin; None where it waits for none."""
        latest = self.interruptions[-1] if self.is_waiting else None
        return latest.at + timedelta(seconds=latest.wait_s) if latest else None

    @property
    def is_left(self) -> bool:
        """Whether an interrupted sweep left its job running at its host."""
        return self.is_waiting and self.interruptions[-1].reason == LEFT_RUNNING

    @property
    def may_have_job(self) -> bool:
        """Whether its latest attempt may have a job that is not over, as far as the ledger knows."""
        return self.ended is None and not (self.is_waiting and self.interruptions[-1].is_job_over)

    def can_be_tried_again(self, attempts: int) -> bool:
        """Whether it gave up and may go on now that so many attempts may be made in all."""
        has_given_up = self.ended_waiting and self.outcome is Outcome.ERRORED
        return has_given_up and len(self.faults) < attempts and Fault.UNKNOWN not in self.faults

    def goes_on(self, attempts: int) -> bool:
        """Whether a later session takes it up, in which so many attempts may be made in all."""
        return self.can_go_on or self.can_be_tried_again(attempts)

    @property
    def can_go_on(self) -> bool:
        """Whether a later session may take it up: it has not ended, or only because its sweep did."""
        return self.ended is None or (self.ended.outcome is Outcome.CANCELLED and self.stopping is None)

    def end(self, at: datetime, outcome: Outcome, reason: str, *, metric: str, model: str | None = None) -> TrialEnded:
        """The entry that ends it now; `metric` is the objective's."""
        is_scored = outcome in (Outcome.COMPLETED, Outcome.PRUNED, Outcome.CANCELLED)
        objective = self.last.metrics.get(metric) if is_scored and self.last else None
        return TrialEnded(at, self.number, outcome, reason, objective, model, self.trained_tokens)

    @property
    def is_owed(self) -> bool:
        """Whether it has ended, and what its last attempt has cost is still to be said by its host."""
        return self.ended is not None and self.account.open_usd is not None

    @property
    def trained_tokens(self) -> int:
        """What it has trained so far, as far as it is known."""
        seen = self.last.trained_tokens if self.last else 0
        return max(seen, self.ended.trained_tokens) if self.ended else seen


def proposed(before: TrialState | None, entry: TrialProposed) -> TrialState:
    """A new trial, or one that is worked on again; its money is set aside."""
    account = (before.account if before else Account()).reserve(entry.attempt, entry.reserved_usd)
    if before is None:
        return TrialState(proposed=entry, started_at=entry.at, account=account)
    n_attempts = before.attempts + (entry.attempt != before.attempt)
    anew = replace(before, proposed=entry, job=None, ended=None, stopping=None, is_waiting=False, ended_waiting=False)
    return replace(anew, attempts=n_attempts, account=account)


def interrupted(before: TrialState, entry: TrialInterrupted) -> TrialState:
    """Nobody works on it; its money is settled where its job is over."""
    account = before.account.settle(entry.usd) if entry.is_job_over else before.account
    interruptions = (*before.interruptions, entry)
    waiting = replace(before, interruptions=interruptions, is_waiting=True, ended=None, ended_waiting=False)
    return replace(waiting, account=account)


def ended(before: TrialState, entry: TrialEnded) -> TrialState:
    """It is over; its money is settled unless its job may train on."""
    account = before.account.settle(entry.usd) if entry.is_settled else before.account
    return replace(before, ended=entry, is_waiting=False, ended_waiting=before.is_waiting, account=account)


def settled(before: TrialState, entry: JobSettled) -> TrialState:
    """What its job has cost is known; nothing where that was settled already, because a further attempt was begun."""
    account = before.account
    is_open = account.open_usd is not None and entry.attempt == account.attempt
    return replace(before, account=account.settle(entry.usd)) if is_open else before

"""What a ledger says, folded: the sweep and its trials as they stand after any number of entries."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from raysweep import trial_state
from raysweep.baseline import LAST
from raysweep.certainty import Certainty
from raysweep.entries import (
    BEST,
    DEFAULT,
    FINALIST,
    REPLICA,
    CancelRequested,
    Entry,
    Evaluated,
    FinalReserved,
    FinalScored,
    JobAccepted,
    JobSettled,
    SweepEnded,
    SweepResumed,
    SweepStarted,
    TrialEnded,
    TrialInterrupted,
    TrialProposed,
)
from raysweep.errors import SweepFolderError
from raysweep.goal import Goal
from raysweep.jobs import key_of
from raysweep.predictions import Place
from raysweep.spending import Account, Spending, total
from raysweep.standing import Standing
from raysweep.trial_state import TrialState
from raysweep.winner import Ruling, rule

__all__ = ["SweepState", "TrialState", "fold"]


@dataclass(frozen=True)
class SweepState:
    """A sweep so far; `apply` gives the next state."""

    started: SweepStarted | None = None
    trials: Mapping[int, TrialState] = field(default_factory=dict)
    """All of them, replicas of finalists too."""
    finals: tuple[FinalScored, ...] = ()
    """The latest of each name and split; of finalists and replicas each."""
    tested: frozenset[int | None] = frozenset()
    """Every trial scored on the test split as the winner: more than one where a sweep went on after its end."""
    ended: SweepEnded | None = None
    n_trials: int = 0
    """How many the sweep may make; a later session may have raised it."""
    n_sessions: int = 0
    """How often a driver has begun or taken up the sweep."""
    at: datetime | None = None
    """When the last entry was written."""
    paused_s: float = 0.0
    """Between sessions, when nobody drove the sweep."""
    finals_account: Account = field(default_factory=Account)
    """The money of scoring after the search, each time that it was begun."""
    max_usd: float | None = None
    """What may be spent and reserved together, as it was said last."""

    def elapsed_s(self, now: datetime) -> float:
        """Seconds for which the sweep has been driven; 0 before its first entry."""
        return (now - self.started.at).total_seconds() - self.paused_s if self.started else 0.0

    @property
    def sweep_id(self) -> str:
        """The sweep's id, with which its jobs' keys begin; empty before the first entry."""
        return self.started.sweep_id if self.started else ""

    def keys(self, trial: TrialState) -> tuple[str, ...]:
        """Of the jobs of all the trial's attempts, by their numbers from 1 on."""
        return tuple(key_of(self.sweep_id, trial.number, attempt) for attempt in range(1, trial.attempt + 1))

    @property
    def goal(self) -> Goal:
        """The objective; raises ValueError before the first entry."""
        if self.started is None or self.started.mode not in ("max", "min"):
            raise ValueError("the sweep has not started")
        return Goal(self.started.metric, "max" if self.started.mode == "max" else "min")

    @property
    def bare_metric(self) -> str:
        """The objective's name without its split; raises ValueError before the first entry."""
        return self.goal.bare

    @property
    def rivals(self) -> tuple[Place, ...]:
        """With what the winner can be compared on the test split: runner-up, default, baselines, so far as scored."""
        standing = self.standing
        second = {trial.number for trial in standing.order[1:2]}
        beside = {(FINALIST, one) for one in second} | {(DEFAULT, one) for one in second | {standing.default}}
        best = self.best.number if self.best else None
        finalists = tuple(one for one in self.finals if (one.name, one.trial) in beside and one.trial != best)
        baselines = tuple(one for one in self.finals if one.trial is None and one.split == "test")
        return tuple(Place(one.name, one.trial, one.split) for one in (*finalists, *baselines))

    @property
    def searched(self) -> Mapping[int, TrialState]:
        """The trials of the search, by number: all but the replicas."""
        return {number: trial for number, trial in self.trials.items() if trial.replica_of is None}

    @property
    def replicas(self) -> tuple[TrialState, ...]:
        """The replicas of finalists, by number."""
        return tuple(trial for _, trial in sorted(self.trials.items()) if trial.replica_of is not None)

    @property
    def standing(self) -> Standing:
        """How the completed trials stand to each other; raises ValueError before the first entry."""
        return Standing(self.trials, self.goal, self.started.default if self.started else None)

    @property
    def default(self) -> int | None:
        """The completed trial with the default configuration; None where there is none, or nobody knows."""
        return self.standing.default

    def ruling(self, test: Certainty | None) -> Ruling | None:
        """Who has won, and how sure that is; `test` is what the test rows say. None before a trial has completed."""
        name = f"test_{self.bare_metric}"
        scores = {one.trial: value for one in self.finals if (value := one.metrics.get(name)) is not None}
        return rule(self.standing.tested(scores), self.goal, test=test, default=self.default)

    @property
    def best(self) -> TrialState | None:
        """The winner, by the rule of `raysweep.winner`; without replicas the best completed trial by validation."""
        return next(iter(self.standing.order), None)

    @property
    def ranked(self) -> tuple[TrialState, ...]:
        """The search's completed trials by their objective, the best first; the earlier first where two are equal."""
        return self.standing.ranked

    @property
    def spending(self) -> Spending:
        """What the sweep has spent, and what is reserved."""
        return total((*(trial.account for trial in self.trials.values()), self.finals_account))

    @property
    def finals_usd(self) -> float:
        """What scoring after the search has cost."""
        return self.finals_account.settled_usd or 0.0

    @property
    def owed(self) -> tuple[TrialState, ...]:
        """The trials whose host is still to say what their jobs have cost."""
        return tuple(trial for trial in self.trials.values() if trial.is_owed)

    @property
    def owed_usd(self) -> float:
        """What is reserved for them until then."""
        return sum(trial.account.open_usd or 0.0 for trial in self.owed)

    def is_scored(self, name: str, split: str, trial: int | None) -> bool:
        """Whether it was scored after the search already."""
        return any((one.name, one.split, one.trial) == (name, split, trial) for one in self.finals)

    def lacks_test(self, name: str, trial: int) -> bool:
        """Whether the trial's model has still to be scored on the test split under that name.

        Who came close once and wins now is scored again, from what was kept; the winner of former days is not.
        """
        names = (BEST,) if name == BEST else (BEST, FINALIST, DEFAULT, REPLICA)
        return not any(self.is_scored(each, "test", trial) for each in names)

    def lacks_finals(self, n_finalists: int, *, baseline: bool) -> bool:
        """Whether one of these models, or the baseline, is still to be scored, so far as it is wanted."""
        lacks_test = any(self.lacks_test(name, trial.number) for name, trial in self.standing.to_test(n_finalists))
        return lacks_test or (baseline and not any(self.is_scored(one, "test", None) for one in LAST))

    def apply(self, entry: Entry) -> "SweepState":
        """The state after one more entry; raises KeyError for a trial that was never proposed."""
        is_driven = self.ended is None and not isinstance(entry, SweepResumed)
        pause_s = 0.0 if is_driven or self.at is None else max(0.0, (entry.at - self.at).total_seconds())
        return replace(self._after(entry), at=entry.at, paused_s=self.paused_s + pause_s)

    def _after(self, entry: Entry) -> "SweepState":  # noqa: PLR0911, PLR0912  # one a kind of entry
        match entry:
            case SweepStarted():
                began = replace(self, started=self.started or entry, n_trials=entry.trials, n_sessions=1, ended=None)
                return replace(began, max_usd=entry.max_usd)
            case SweepResumed():
                return self._resumed(entry)
            case TrialProposed():
                return self._with(trial_state.proposed(self.trials.get(entry.trial), entry))
            case JobAccepted():
                return self._with(replace(self.trials[entry.trial], job=entry))
            case Evaluated():
                trial = self.trials[entry.trial]
                return self._with(replace(trial, evaluations=(*trial.evaluations, entry)))
            case TrialInterrupted():
                return self._with(trial_state.interrupted(self.trials[entry.trial], entry))
            case CancelRequested():
                return self._with(replace(self.trials[entry.trial], stopping=entry))
            case TrialEnded():
                return self._with(trial_state.ended(self.trials[entry.trial], entry))
            case JobSettled():
                return self._with(trial_state.settled(self.trials[entry.trial], entry))
            case FinalReserved():
                account = self.finals_account.reserve(self.finals_account.attempt + 1, entry.usd)
                return replace(self, finals_account=account)
            case FinalScored():
                return self._scored(entry)
            case SweepEnded():  # whoever scored scores no more, and his host sends a bill
                return replace(self, ended=entry, finals_account=self.finals_account.settle(None))
            case _:
                assert_never(entry)

    def _resumed(self, entry: SweepResumed) -> "SweepState":
        account = self.finals_account.settle(None)  # of a driver that died while it scored
        resumed = replace(self, n_trials=entry.trials, n_sessions=self.n_sessions + 1, ended=None)
        return replace(resumed, finals_account=account, max_usd=entry.max_usd)

    def _scored(self, entry: FinalScored) -> "SweepState":
        others = tuple(one for one in self.finals if not _replaces(entry, one))
        is_winner = entry.split == "test" and entry.name == BEST
        tested = self.tested | {entry.trial} if is_winner else self.tested
        is_free = entry.trial is None and entry.usd is None  # nothing was reserved for it
        account = self.finals_account if is_free else self.finals_account.settle(entry.usd)
        return replace(self, finals=(*others, entry), tested=tested, finals_account=account)

    def _with(self, trial: TrialState) -> "SweepState":
        return replace(self, trials={**self.trials, trial.number: trial})


def _replaces(entry: FinalScored, one: FinalScored) -> bool:
    """Whether the score takes the other's place: the same model's, or the former winner's."""
    is_same_model = entry.trial is not None and entry.trial == one.trial
    return entry.split == one.split and (is_same_model or entry.name == one.name not in (FINALIST, REPLICA))


def fold(entries: Iterable[Entry]) -> SweepState:
    """The state after all entries; raises SweepFolderError where one speaks of a trial that was never proposed."""
    state = SweepState()
    for entry in entries:
        try:
            state = state.apply(entry)
        except KeyError as error:
            raise SweepFolderError(
                f"the ledger speaks of trial {error} before it proposes it: lines were lost; restore it from a backup"
            ) from error
    return state

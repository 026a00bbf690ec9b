"""How a sweep gets on: trials by outcome, tokens saved by stopping, time left."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from raysweep.jobs import Outcome
from raysweep.state import SweepState, TrialState
from raysweep.views.view import Setting

ENDED_FOR_ESTIMATE = 3
"""No guess at the time left before so many trials have ended."""


@dataclass(frozen=True)
class Savings:
    """What stopping trials saved, against running them to their own budgets."""

    trained_tokens: int
    """By all trials, the failed ones and the replicas too."""
    saved_tokens: int
    """What the pruned trials would have trained besides."""
    usd: float
    """What the pruned trials would have cost besides; see `_saved_usd`."""
    share: float | None
    """Saved tokens as a share of what the completed and pruned trials would have trained; None before any ended."""


def counts(state: SweepState) -> Mapping[Outcome, int]:
    """How many trials of the search ended in each way, in the order of `Outcome`."""
    found = Counter(trial.outcome for trial in state.searched.values())
    return {outcome: found[outcome] for outcome in Outcome if found[outcome]}


def running(state: SweepState) -> tuple[TrialState, ...]:
    """The trials that are worked on, by number."""
    return tuple(trial for trial in _unfinished(state) if not trial.is_waiting)


def waiting(state: SweepState) -> tuple[TrialState, ...]:
    """The trials that wait for a further attempt, by number; each keeps its slot."""
    return tuple(trial for trial in _unfinished(state) if trial.is_waiting)


def ended(state: SweepState) -> tuple[TrialState, ...]:
    """The trials that have ended, the latest last."""
    over = [(trial.ended.at, trial.number, trial) for trial in state.trials.values() if trial.ended]
    return tuple(trial for _, _, trial in sorted(over, key=lambda one: one[:2]))


def next_rung(trial: TrialState, setting: Setting) -> float | None:
    """The epoch at which the trial is compared next; None where nothing can stop it any more."""
    done = trial.last.epoch if trial.last else 0.0
    return next((rung for rung in setting.rungs_epochs(trial.params) if rung > done + 1e-9), None)


def savings(state: SweepState, setting: Setting) -> Savings:
    """What stopping has saved so far; a pruned trial's full run is its own tokens scaled to its budget."""
    searched = state.searched.values()
    saved = sum(_saved(trial, setting) for trial in searched if trial.outcome is Outcome.PRUNED)
    compared = sum(trial.trained_tokens for trial in searched if trial.outcome in (Outcome.PRUNED, Outcome.COMPLETED))
    full = compared + saved
    return Savings(
        trained_tokens=sum(trial.trained_tokens for trial in state.trials.values()),
        saved_tokens=saved,
        usd=_saved_usd(state),
        share=saved / full if full else None,
    )


def left_s(state: SweepState, setting: Setting, now: datetime) -> float | None:
    """Seconds until all trials have ended, as far as one can tell; None while one cannot.

    The mean duration counts the time that running trials have taken already: those stopped early end first, and
    their durations alone would promise too much.
    """
    over, live = ended(state), _unfinished(state)
    if len(over) < ENDED_FOR_ESTIMATE or state.started is None:
        return None
    ages = [(now - trial.proposed.at).total_seconds() for trial in live]
    durations = [(trial.ended.at - trial.proposed.at).total_seconds() for trial in over if trial.ended]
    mean = (sum(durations) + sum(ages)) / len(durations)
    rests = [_rest_s(trial, age, mean, setting) for trial, age in zip(live, ages, strict=True)]
    unasked = max(0, state.n_trials - len(state.searched))
    return max([(sum(rests) + unasked * mean) / setting.concurrency, *rests])


def _unfinished(state: SweepState) -> tuple[TrialState, ...]:
    return tuple(state.trials[number] for number in sorted(state.trials) if state.trials[number].ended is None)


def _rest_s(trial: TrialState, age_s: float, mean_s: float, setting: Setting) -> float:
    """What a running trial will still take: to its budget once nothing can stop it, else at most that."""
    likely = max(mean_s - age_s, mean_s / 2)
    if trial.last is None or trial.last.epoch <= 0:
        return likely
    to_budget = age_s * max(0.0, setting.budget_epochs(trial.params) / trial.last.epoch - 1)
    return to_budget if next_rung(trial, setting) is None else min(likely, to_budget)


def _saved(trial: TrialState, setting: Setting) -> int:
    if trial.last is None or trial.last.epoch <= 0:
        return 0
    full = trial.last.trained_tokens / trial.last.epoch * setting.budget_epochs(trial.params)
    return max(0, round(full) - trial.trained_tokens)


def _saved_usd(state: SweepState) -> float:
    """What the pruned trials would have cost, had they used as much of their reservations as the completed ones did."""
    completed = _paid(state, Outcome.COMPLETED)
    reserved_usd = sum(reserved for reserved, _ in completed)
    share = sum(used for _, used in completed) / reserved_usd if reserved_usd else 1.0
    return sum(max(0.0, share * reserved - used) for reserved, used in _paid(state, Outcome.PRUNED))


def _paid(state: SweepState, outcome: Outcome) -> list[tuple[float, float]]:
    """What was reserved for the last attempts of such trials, and what was used, where that is known."""
    trials = [trial for trial in state.searched.values() if trial.outcome is outcome]
    found = [(trial.proposed.reserved_usd, trial.account.last_usd) for trial in trials]
    return [(reserved, used) for reserved, used in found if reserved is not None and used is not None]

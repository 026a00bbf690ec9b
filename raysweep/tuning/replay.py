"""A driver brought to where a ledger ends: history and pruner are given the record again, in its order."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from raysweep.dimensions import Params
from raysweep.entries import CancelRequested, Entry, Evaluated, TrialEnded, TrialProposed
from raysweep.jobs import JobSpec, Outcome
from raysweep.search.history import Suggestion
from raysweep.search.prune import Stop
from raysweep.state import TrialState
from raysweep.tuning.driver import Driver


@dataclass
class _Replayed:
    specs: dict[int, JobSpec] = field(default_factory=dict)
    stops: dict[int, Stop] = field(default_factory=dict)
    by_decision: set[int] = field(default_factory=set)
    """Trials that somebody decided to stop; those that only their sweep's end cancelled go on with it."""


def replay(driver: Driver, entries: Iterable[Entry], project: Callable[[Params], Params]) -> None:
    """Give the driver the past: what ended stays so, everything else is taken up again under its own number.

    The driver's recorder must hold the state of the same entries. `project` gives the point of the space that a
    trial's complete params came from. A trial that the pruner had just judged, or that was just to be stopped, when
    the driver died ends now. Raises SpaceError for params that lie outside the space.
    """
    past = _Replayed()
    for entry in entries:
        _give(driver, entry, project, past)
    for trial, state in driver.recorder.state.trials.items():
        if state.can_go_on:
            _take_up(driver, state, past)
        elif state.outcome is Outcome.COMPLETED and state.ended and state.ended.objective is not None:
            driver.stop_at_target(trial, state.ended.objective)


def _take_up(driver: Driver, state: TrialState, past: _Replayed) -> None:
    trial = state.number
    if state.stopping:
        driver.end_trial(trial, state.stopping.outcome, state.stopping.reason)
    elif trial in past.stops:
        driver.prune(trial, past.stops[trial])
    else:
        is_job_over = state.is_waiting and state.interruptions[-1].is_job_over
        is_new = state.ended is not None or is_job_over or not driver.rules.has_host
        driver.take_up(past.specs[trial], state.attempt + 1 if is_new else state.attempt)


def _give(driver: Driver, entry: Entry, project: Callable[[Params], Params], past: _Replayed) -> None:
    match entry:
        case TrialProposed() if entry.trial not in past.specs:
            point = project(entry.params)
            driver.history.adopt(entry.trial, point)
            spec = driver.make_spec(Suggestion(entry.trial, point))
            past.specs[entry.trial] = replace(spec, params=entry.params)  # a trainer's defaults may be others today
        case Evaluated():
            driver.learn(entry.trial, entry.metrics, entry.epoch)
            decision = driver.judge(past.specs[entry.trial], entry.metrics, entry.epoch)
            if isinstance(decision, Stop):
                past.stops[entry.trial] = decision
        case CancelRequested():
            past.by_decision.add(entry.trial)
        case TrialEnded() if entry.outcome is not Outcome.CANCELLED or entry.trial in past.by_decision:
            driver.history.end(entry.trial, entry.outcome)
        case _:
            pass

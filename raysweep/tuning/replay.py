"""A driver brought to where a ledger ends: history and pruner are given the record again, in its order."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from raysweep.dimensions import Params
from raysweep.entries import DRIVER_DIED, Entry, Evaluated, TrialEnded, TrialProposed
from raysweep.jobs import JobSpec, Outcome
from raysweep.search.history import Suggestion
from raysweep.search.prune import Stop
from raysweep.state import TrialState
from raysweep.tuning.driver import Driver


@dataclass
class _Replayed:
    specs: dict[int, JobSpec] = field(default_factory=dict)
    stops: dict[int, Stop] = field(default_factory=dict)


def replay(driver: Driver, entries: Iterable[Entry], project: Callable[[Params], Params]) -> None:
    """Give a search's driver the past: what ended stays so, everything else is taken up again under its own number.

    The driver's recorder must hold the state of the same entries. `project` gives the point of the space that a
    trial's complete params came from. A trial that the pruner had just judged, or that was just to be stopped, when
    the driver died ends now; one that had used up its attempts goes on where more of them may be made by now.
    Raises SpaceError for params that lie outside the space.
    """
    trials = driver.recorder.state.searched
    goes_on = {trial: one.goes_on(driver.rules.attempts) for trial, one in trials.items()}
    past = _Replayed()
    for entry in entries:
        if not isinstance(entry, TrialEnded):
            _give(driver, entry, project, past)
        elif entry.trial in trials and entry == trials[entry.trial].ended and not goes_on[entry.trial]:
            # no end that was taken back later
            driver.history.end(entry.trial, entry.outcome)
    for trial, state in trials.items():
        if goes_on[trial]:
            _take_up(driver, state, past)
        elif state.outcome is Outcome.COMPLETED and state.ended and state.ended.objective is not None:
            driver.stop_at_target(trial, state.ended.objective)


def take_up_replicas(driver: Driver) -> None:
    """Let the driver of the replicas go on with those that have not ended; the recorder's state is all it needs."""
    for trial, state in driver.recorder.state.trials.items():
        if driver.rules.owns(state) and state.goes_on(driver.rules.attempts):
            driver.history.adopt(trial, state.params)
            spec = driver.make_spec(Suggestion(trial, state.params))
            driver.purse.begin(spec)
            _take_up(driver, state, _Replayed({trial: spec}))


def _take_up(driver: Driver, state: TrialState, past: _Replayed) -> None:
    trial = state.number
    if state.stopping:
        driver.end_trial(trial, state.stopping.outcome, state.stopping.reason)
    elif trial in past.stops:
        driver.prune(trial, past.stops[trial])
    else:
        is_job_over = _is_job_over(driver, state)
        if not (state.is_waiting or state.ended_waiting):  # else it is written down already
            reason = state.ended.reason if state.ended else DRIVER_DIED
            driver.interrupt_trial(trial, None, reason, is_job_over=is_job_over)
        driver.take_up(past.specs[trial], state.attempt + 1 if is_job_over else state.attempt)


def _is_job_over(driver: Driver, state: TrialState) -> bool:
    """Whether nothing lives on of the job that the trial had last."""
    is_said = state.is_waiting and state.interruptions[-1].is_job_over
    return is_said or state.ended is not None or not driver.rules.has_host


def _give(driver: Driver, entry: Entry, project: Callable[[Params], Params], past: _Replayed) -> None:
    match entry:
        case TrialProposed() if entry.trial not in past.specs and entry.replica_of is None:
            point = project(entry.params)
            driver.history.adopt(entry.trial, point)
            spec = driver.make_spec(Suggestion(entry.trial, point))
            past.specs[entry.trial] = replace(spec, params=entry.params)  # a trainer's defaults may be others today
            driver.purse.begin(past.specs[entry.trial])
        case Evaluated() if entry.trial in past.specs:
            driver.learn(entry.trial, entry.metrics, entry.epoch)
            decision = driver.judge(past.specs[entry.trial], entry.metrics, entry.epoch)
            if isinstance(decision, Stop):
                past.stops[entry.trial] = decision
        case _:
            pass

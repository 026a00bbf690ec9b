"""What a person does to a sweep from outside its driver: stop a trial, make a host and the ledger agree."""

from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from raysweep import ledger, requests, results
from raysweep.clock import Clock
from raysweep.entries import DRIVER_DIED, CancelRequested, SweepEnded, TrialInterrupted
from raysweep.errors import ConfigError, RaysweepError
from raysweep.folder import refuse_moved
from raysweep.forecast import Forecaster
from raysweep.jobs import Outcome
from raysweep.preflight import Ready
from raysweep.reconcile import Reconciled, reconcile
from raysweep.recorder import Recorder
from raysweep.rehearsing import looked_at
from raysweep.session import BY_HAND
from raysweep.settlement import Settlement
from raysweep.state import SweepState
from raysweep.tuning.signals import held_back
from raysweep.views.tensorboard import TensorBoardView
from raysweep.views.view import FanOut

PATIENCE_S = 30.0
"""How long a driver is waited for; it looks for notes about ten times a second, unless its storage is gone."""
LOOK_S = 0.2
JOB_CANCELLED = "its job was cancelled by hand"


def stop_trial(folder: Path, trial: int, clock: Clock) -> str:
    """Stop a trial by hand; what was done, in words.

    A living driver is left a note and does it itself. Where there is none it is written down here, and the trial's
    job is cancelled at its host. Raises ConfigError for a trial that does not exist or has ended, RaysweepError where
    the driver does not answer.
    """
    state = results.load(folder).state
    if state.started:
        refuse_moved(folder, state.started)
    _refuse_ended(state, trial)
    if ledger.holder(folder) is None:
        return _stop_alone(folder, trial, clock)
    note = requests.ask_to_stop(folder, trial)
    until_s = clock.monotonic_s() + PATIENCE_S
    while clock.monotonic_s() < until_s:
        now = results.load(folder).state.trials[trial]
        if now.ended and not now.can_go_on:
            return f"trial {trial}: {now.ended.outcome}, {now.ended.reason}"
        clock.sleep_s(LOOK_S)
    note.unlink(missing_ok=True)
    raise RaysweepError(f"{folder}: its driver did not stop trial {trial} within {PATIENCE_S:g} s; is it alive?")


def reconcile_run(folder: Path, clock: Clock, *, is_over: bool = False) -> Reconciled:
    """Cancel the jobs that no trial of the sweep owns; where nobody drives it, settle what the others have cost.

    `is_over`: those of unfinished trials too; refused with ConfigError while a driver goes on with them.
    """
    holder = ledger.holder(folder)
    if is_over and holder is not None:
        raise ConfigError(f"--cancel: {holder} drives this sweep and goes on with its jobs; stop it first")
    started = results.load(folder).state.started
    if started is None:
        return Reconciled()
    with looked_at(folder, started) as ready:
        return _reconcile(ready, folder, started.sweep_id, clock, is_over=is_over)


def _reconcile(ready: Ready, folder: Path, sweep_id: str, clock: Clock, *, is_over: bool) -> Reconciled:
    trainer, state = ready.trainer, results.load(folder).state
    if is_over or (state.owed and ledger.holder(folder) is None):
        with _alone(folder) as recorder:
            done = reconcile(trainer, sweep_id, lambda: recorder.state, clock, is_over=is_over)
            if is_over:
                _note_cancelled(recorder, done.keys_lost, clock)
            price = Forecaster(ready, state.n_trials).estimate
            Settlement(trainer, sweep_id, folder, recorder, clock, price).settle(done.listed, done.unseen)
    else:
        done = reconcile(trainer, sweep_id, lambda: results.load(folder).state, clock, is_over=False)
    then = f"to go on with what was kept: raysweep resume {folder}; to cancel it: raysweep reconcile {folder} --cancel"
    return replace(done, hints=(then,)) if done.adopted and ledger.holder(folder) is None else done


def _note_cancelled(recorder: Recorder, keys: Set[str], clock: Clock) -> None:
    """Write down which trials lost their jobs so, lest whoever goes on with them takes it for the host's fault."""
    for trial in recorder.state.trials.values():
        if trial.ended is None and trial.proposed.key in keys:
            recorder.record(TrialInterrupted(clock.now(), trial.number, trial.attempt, None, JOB_CANCELLED))


@contextmanager
def _alone(folder: Path) -> Iterator[Recorder]:
    """Writes to a sweep that nobody drives; its tables are up to date when the block has ended."""
    with ledger.Ledger(folder) as opened:
        views = FanOut([TensorBoardView(folder)])
        recorder = Recorder(opened, views, results.load(folder).state)
        state = recorder.state
        if state.at and not state.ended:  # since then nobody has driven it, and that time does not count
            recorder.record(SweepEnded(state.at, DRIVER_DIED))
        yield recorder
        with held_back():
            views.close(recorder.state)
            results.write(results.Results(folder, recorder.state))


def _stop_alone(folder: Path, trial: int, clock: Clock) -> str:
    with _alone(folder) as recorder:
        state = recorder.state
        _refuse_ended(state, trial)
        recorder.record(CancelRequested(clock.now(), trial, Outcome.CANCELLED, BY_HAND))
        end = state.trials[trial].end(clock.now(), Outcome.CANCELLED, BY_HAND, metric=state.goal.metric)
        recorder.record(replace(end, is_settled=False))  # its job may be over or not: the host is asked
    done = reconcile_run(folder, clock)
    problems = "".join(f"; {problem}" for problem in done.problems)
    return f"trial {trial}: {Outcome.CANCELLED}, {BY_HAND}; no driver was alive{problems}"


def _refuse_ended(state: SweepState, number: int) -> None:
    trial = state.trials.get(number)
    if trial is None:
        known = f"0 to {max(state.searched)}" if state.searched else "none yet"
        known += f", and the replicas {', '.join(str(one.number) for one in state.replicas)}" if state.replicas else ""
        raise ConfigError(f"trial {number}: the sweep has made no such trial; there are {known}")
    if trial.ended and not trial.can_go_on:
        raise ConfigError(f"trial {number}: has ended already: {trial.ended.outcome}")

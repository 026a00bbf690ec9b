"""What a person does to a sweep from outside its driver: stop a trial, make a host and the ledger agree."""

from pathlib import Path

from raysweep import ledger, requests, results
from raysweep.clock import Clock
from raysweep.config import load_config
from raysweep.entries import CancelRequested
from raysweep.errors import ConfigError, RaysweepError
from raysweep.folder import CONFIG_NAME
from raysweep.jobs import Outcome
from raysweep.preflight import make_ready
from raysweep.reconcile import Reconciled, reconcile
from raysweep.recorder import Recorder
from raysweep.session import BY_HAND
from raysweep.state import SweepState
from raysweep.views.tensorboard import TensorBoardView
from raysweep.views.view import FanOut

PATIENCE_S = 30.0
"""How long a driver is waited for; it looks for notes about ten times a second, unless its storage is gone."""
LOOK_S = 0.2


def stop_trial(folder: Path, trial: int, clock: Clock) -> str:
    """Stop a trial by hand; what was done, in words.

    A living driver is left a note and does it itself. Where there is none it is written down here, and the trial's
    job is cancelled at its host. Raises ConfigError for a trial that does not exist or has ended, RaysweepError where
    the driver does not answer.
    """
    state = results.load(folder).state
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
    """Cancel the jobs that no trial of the sweep owns.

    `is_over`: those of unfinished trials too; refused with ConfigError while a driver goes on with them.
    """
    holder = ledger.holder(folder)
    if is_over and holder is not None:
        raise ConfigError(f"--cancel: {holder} drives this sweep and goes on with its jobs; stop it first")
    started = results.load(folder).state.started
    if started is None:
        return Reconciled()
    trainer = make_ready(load_config(folder / CONFIG_NAME)).trainer
    return reconcile(trainer, started.sweep_id, lambda: results.load(folder).state, clock, is_over=is_over)


def _stop_alone(folder: Path, trial: int, clock: Clock) -> str:
    with ledger.Ledger(folder) as opened:
        state = results.load(folder).state
        _refuse_ended(state, trial)
        views = FanOut([TensorBoardView(folder)])
        recorder = Recorder(opened, views, state)
        recorder.record(CancelRequested(clock.now(), trial, Outcome.CANCELLED, BY_HAND))
        recorder.record(state.trials[trial].end(clock.now(), Outcome.CANCELLED, BY_HAND, metric=state.goal.metric))
        views.close(recorder.state)
        results.write(results.Results(folder, recorder.state))
    done = reconcile_run(folder, clock)
    problems = "".join(f"; {problem}" for problem in done.problems)
    return f"trial {trial}: {Outcome.CANCELLED}, {BY_HAND}; no driver was alive{problems}"


def _refuse_ended(state: SweepState, number: int) -> None:
    trial = state.trials.get(number)
    if trial is None:
        known = f"0 to {max(state.trials)}" if state.trials else "none yet"
        raise ConfigError(f"trial {number}: the sweep has made no such trial; there are {known}")
    if trial.ended and not trial.can_go_on:
        raise ConfigError(f"trial {number}: has ended already: {trial.ended.outcome}")

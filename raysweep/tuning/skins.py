"""Tune's Searcher, TrialScheduler, Stopper and Callback as skins of a few lines over the driver."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from raysweep.errors import Fault, RaysweepError
from raysweep.search.history import Done, Wait
from raysweep.tuning.actor import tune_config
from raysweep.tuning.driver import Driver
from raysweep.tuning.report import Report
from raysweep.tuning.runner import Ticker

_LOG = logging.getLogger(__name__)

NO_MORE = "The actor died unexpectedly"
"""How Ray begins where it knows no reason."""
OUT_OF_MEMORY = "running low on memory"
"""In what Ray writes of a process that its memory monitor killed."""


LEAVE_S = 5.0
"""How long actors may take to hear that their jobs are left; it takes them milliseconds."""


class _Unpickled:
    """Tune pickles what it is given into its own files, which nobody reads: the ledger is the truth."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class SearcherSkin(_Unpickled, Searcher):
    """Asks the driver for trials."""

    def __init__(self, driver: Driver, shown: tuple[str, ...], resources: Mapping[str, float], ticker: Ticker) -> None:
        super().__init__()
        self._driver = driver
        self._ticker = ticker
        self._shown = shown
        self._resources = resources

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is a string
        """A trial's config; None to wait; FINISHED at the end."""
        self._ticker.tick()  # while no trial runs, Tune asks for one, about once a second, and calls nothing else
        try:
            answer = self._driver.suggest()
        except RaysweepError as error:
            self._driver.abort(error)
            return Searcher.FINISHED
        if isinstance(answer, Done):
            return Searcher.FINISHED
        if isinstance(answer, Wait):
            return None
        return tune_config(answer, self._shown, self._resources)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The scheduler has told the driver already, with the reason."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the truth."""


class SchedulerSkin(_Unpickled, FIFOScheduler):
    """Hands results and errors to the driver."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Ray has no types here
        self._driver = driver
        self.pids: dict[int, int] = {}
        """The process of each trial that has reported."""
        self._trials: list[Trial] = []

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Tune's own object of it leads to its actor."""
        self._trials.append(trial)

    def leave_jobs(self) -> None:
        """Tell the actors of all trials that are worked on to let go of their jobs when Tune stops them, which is next.

        One that does not answer in time will cancel its job, or die and so leave it. One whose trial has ended, by a
        prune of just now say, is not told.
        """
        actors = [trial.temporary_state.ray_actor for trial in self._trials if _number(trial) in self._driver.live]
        told: list[ray.ObjectRef[None]] = [actor.leave.remote() for actor in actors if actor is not None]
        silent = ray.wait(told, num_returns=len(told), timeout=LEAVE_S)[1] if told else []
        if silent:
            _LOG.warning("%d trials did not hear that their jobs are to be left: some may be cancelled", len(silent))

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Continue or stop, as the driver says."""
        goes_on = self._take(trial, result)
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """A final result comes this way only."""
        self._take(trial, result)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """The trial's process died: whatever a trainer raises comes as a report."""
        try:
            reason = _reason(trial)
            fault = Fault.MEMORY if OUT_OF_MEMORY in reason else Fault.HOST
            self._driver.lose(_number(trial), reason, fault)
        except RaysweepError as error:
            self._driver.abort(error)

    def _take(self, trial: Trial, result: dict[str, Any]) -> bool:
        report = result.get("report")
        if not isinstance(report, Report):
            return False  # Tune repeats a trial's last result without its report when the trial ends
        self.pids[_number(trial)] = result.get("pid", 0)
        try:
            return self._driver.report(_number(trial), report)
        except RaysweepError as error:
            self._driver.abort(error)
            return False


def _number(trial: Trial) -> int:
    number: int = trial.config["spec"].trial
    return number


def _reason(trial: Trial) -> str:
    """The first line of what Tune wrote of the death of the trial's process."""
    path = trial.error_file
    lines = Path(path).read_text(encoding="utf-8").splitlines() if path and Path(path).is_file() else []
    told = [line.strip() for line in lines if line.strip() and not line.startswith("Failure #")]
    killed = next((line for line in told if OUT_OF_MEMORY in line), None)
    if killed:
        return memory_words(killed)
    if not told or told[0].startswith(NO_MORE):
        return "its process died"
    return f"its process died: {told[0]}"


def memory_words(said: str) -> str:
    """What Ray says at length of a process that its memory monitor killed, in short."""
    used = re.search(r"\S+ used / \S+ limit", said)
    return f"its process was killed: the node was {OUT_OF_MEMORY}" + (f" ({used[0]})" if used else "")


class StopperSkin(_Unpickled, tune.Stopper):
    """Ends the whole sweep when the driver says so."""

    def __init__(self, driver: Driver, scheduler: SchedulerSkin) -> None:
        self._driver = driver
        self._scheduler = scheduler
        self._has_left = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Single trials are the scheduler's."""
        return False

    def stop_all(self) -> bool:
        """Looked at after every event; all actors are stopped as soon as it says so."""
        is_over = self._driver.is_over()
        if is_over and self._driver.is_leaving and not self._has_left:
            self._has_left = True
            self._scheduler.leave_jobs()
        return is_over


class CallbackSkin(_Unpickled, tune.Callback):
    """Lets the views draw between Tune's events."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """About ten times a second, and after every event."""
        self._ticker.tick()

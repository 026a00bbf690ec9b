"""One session of a sweep: from what its ledger holds, which may be nothing, to an end, with results or without."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from raysweep import own_metrics, requests
from raysweep.bill_watch import BillWatch
from raysweep.clock import Clock
from raysweep.config.identity import digests
from raysweep.drivers import Drivers
from raysweep.entries import ALL_ENDED, Entry, SweepEnded, SweepResumed, SweepStarted
from raysweep.errors import RaysweepError
from raysweep.finals import Finals
from raysweep.forecast import Forecaster
from raysweep.jobs import DataRefs, Outcome
from raysweep.preflight import Ready
from raysweep.recorder import Recorder
from raysweep.scoring import Prediction
from raysweep.search.history import Suggestion
from raysweep.settlement import Settlement
from raysweep.state import TrialState
from raysweep.task import Example
from raysweep.tuning.driver import Driver
from raysweep.tuning.replay import replay, take_up_replicas
from raysweep.tuning.runner import Resources, Runner, Static, Ticker
from raysweep.tuning.signals import signals

BY_HAND = "stopped by hand"


@dataclass(frozen=True)
class Session:
    """The part of a sweep that spends something."""

    ready: Ready
    data: DataRefs
    sweep_id: str
    folder: Path
    n_trials: int
    concurrency: int
    resources: Resources
    recorder: Recorder
    clock: Clock
    runner: Runner
    views: Ticker
    past: tuple[Entry, ...] = ()
    """What earlier sessions wrote; empty for a sweep that begins."""

    def carry_out(self) -> None:
        """Search, repeat the best few, score them; when this returns or raises, every trial has ended or is left."""
        search = self._drivers.search()
        drivers = [search]
        with signals(partial(_interrupt, drivers)):
            self.recorder.record(self._resumed() if self.past else self._started())
            if self.past:
                self._settlement.begin()
            self._replay(search)
            problems = self._drive(search)
            problems += self._repeat_finalists(drivers)
            problems += self._score_finals(search)
            if problems or search.signal:  # whoever scored may have been killed, and left a deployment
                is_left = any(driver.is_leaving for driver in drivers)
                problems += self._settlement.end(is_left=is_left, is_hurried=True)
            self.recorder.record(self._ended(search, problems))

    def _drive(self, driver: Driver) -> tuple[str, ...]:
        """All its trials to their ends; what could not be settled with their host, in words."""
        settlement, goes_on = self._settlement, False
        try:
            self._run_trials(driver)
            goes_on = not driver.error and not driver.rules.replicates and self._has_open_replicas
        finally:
            driver.close(settlement.finished() if driver.signal and not (driver.error or driver.is_leaving) else ())
            is_hurried = driver.signal is not None
            problems = settlement.end(is_left=driver.is_leaving or goes_on, is_hurried=is_hurried)
        if driver.error:
            raise driver.error
        return problems

    @property
    def _has_open_replicas(self) -> bool:
        """Whether replicas of an earlier session go on."""
        attempts = self.ready.config.retries.attempts
        return any(one.goes_on(attempts) for one in self.recorder.state.replicas)

    def _repeat_finalists(self, drivers: list[Driver]) -> tuple[str, ...]:
        """Train the best few again with fresh seeds; why some were not, in words."""
        search, final = drivers[0], self.ready.config.final
        lacks = self.recorder.state.standing.replicas_to_make(final.top, final.replicas)
        if not self._has_open_replicas and (not lacks or search.signal):
            return ()
        driver = self._drivers.replicas()
        drivers.append(driver)
        if search.signal and not driver.signal:
            driver.interrupt(search.signal)
        take_up_replicas(driver)
        problems = self._drive(driver)
        lacks = self.recorder.state.standing.replicas_to_make(final.top, final.replicas)
        if not lacks or driver.signal:
            return problems
        n_wanted = min(final.top, len(self.recorder.state.ranked)) * final.replicas
        return (f"{n_wanted - len(lacks)} of {n_wanted} replicas were made: {driver.end_reason}", *problems)

    def _replay(self, driver: Driver) -> None:
        before = self._ended_trials
        replay(driver, self.past, self.ready.space.project)
        if self._ended_trials - before:  # what its driver had just decided when it died, and did not live to cancel
            self._settlement.go_on()

    @property
    def _ended_trials(self) -> frozenset[int]:
        return frozenset(number for number, trial in self.recorder.state.trials.items() if trial.ended)

    def _ended(self, driver: Driver, problems: Sequence[str]) -> SweepEnded:
        signal = None if self._is_all_done else driver.signal  # one that came too late has interrupted nothing
        end_reason = ALL_ENDED if driver.signal and not signal else driver.end_reason or ALL_ENDED
        n_left = sum(trial.is_left and trial.job is not None for trial in self.recorder.state.trials.values())
        left = [f"{n_left} {'job goes' if n_left == 1 else 'jobs go'} on at the host"] if n_left else []
        reason = "; ".join(dict.fromkeys([end_reason, *left, *problems]))
        return SweepEnded(self.clock.now(), reason, signal)

    @property
    def _is_all_done(self) -> bool:
        """Whether nothing is left that this session was to do."""
        state, final = self.recorder.state, self.ready.config.final
        is_open = len(state.searched) < self.n_trials or any(trial.can_go_on for trial in state.trials.values())
        is_open = is_open or bool(state.standing.replicas_to_make(final.top, final.replicas))
        return not is_open and not state.lacks_finals(final.top if final.test else 0, baseline=final.baseline)

    def _run_trials(self, driver: Driver) -> None:
        bills = BillWatch(self._settlement)
        try:
            self.runner.run_trials(
                driver,
                self._static,
                self.resources,
                shown=self.ready.space.searched(),
                concurrency=self.concurrency,
                ticker=_Ticks(self.views, driver, self.folder, bills),
            )
        finally:
            bills.close()

    @property
    def _static(self) -> Static:
        return Static(self.ready.recipe, self.data)

    @property
    def _settlement(self) -> Settlement:
        price = Forecaster(self.ready, self.n_trials).estimate
        return Settlement(self.ready.trainer, self.sweep_id, self.folder, self.recorder, self.clock, price)

    def _score_finals(self, driver: Driver) -> tuple[str, ...]:
        predict, usd_of = partial(self._predict, driver), partial(self._final_usd, driver)
        afford = driver.purse.afford
        finals = Finals(self.ready, self.folder, self.recorder, self.clock, predict, usd_of, afford)
        return finals.score(lambda: driver.signal is not None)

    def _predict(self, driver: Driver, model: str, rows: Sequence[Example]) -> Sequence[Prediction] | None:
        return self.runner.predict(
            self._static,
            self.resources,
            model,
            rows,
            ticker=self.views,
            is_stopped=lambda: driver.signal is not None,
        )

    def _final_usd(self, driver: Driver, trial: TrialState) -> float | None:
        spec = driver.make_spec(Suggestion(trial.number, self.ready.space.project(trial.params)))
        return driver.purse.final_usd(replace(spec, params=trial.params))

    def _started(self) -> SweepStarted:
        config = self.ready.config
        return SweepStarted(
            at=self.clock.now(),
            sweep_id=self.sweep_id,
            name=config.name,
            metric=config.goal.metric,
            mode=config.goal.mode,
            trials=self.n_trials,
            data_fingerprint=self.ready.loaded.splits.fingerprint,
            raysweep_version=version("raysweep"),
            concurrency=self.concurrency,
            folder=str(self.folder),
            settings=digests(config),
            metrics=own_metrics.helps(config),
            earlier=self.ready.earlier.digest,
            max_usd=config.budget.max_usd,
            default=self.ready.complete(self.ready.space.default()),
        )

    def _resumed(self) -> SweepResumed:
        return SweepResumed(self.clock.now(), self.n_trials, version("raysweep"), self.ready.config.budget.max_usd)

    @property
    def _drivers(self) -> Drivers:
        return Drivers(
            self.ready,
            self.data,
            self.sweep_id,
            self.folder,
            n_trials=self.n_trials,
            concurrency=self.concurrency,
            recorder=self.recorder,
            clock=self.clock,
        )


def _interrupt(drivers: Sequence[Driver], signal_name: str) -> None:
    for driver in drivers:
        driver.interrupt(signal_name)


@dataclass(frozen=True)
class _Ticks:
    """Lets the views draw, and looks for notes that other processes left, and for what hosts say of money."""

    views: Ticker
    driver: Driver
    folder: Path
    bills: BillWatch

    def tick(self) -> None:
        """Time has passed."""
        self.views.tick()
        try:
            self.bills.tick()
            for trial in requests.take_stops(self.folder):
                state = self.driver.recorder.state.trials.get(trial)
                if state is not None and state.can_go_on:
                    self.driver.stop_trial(trial, Outcome.CANCELLED, BY_HAND)
        except RaysweepError as error:  # the disk is full
            self.driver.abort(error)

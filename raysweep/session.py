"""One session of a sweep: from what its ledger holds, which may be nothing, to an end, with results or without."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from raysweep import own_metrics, ranking, requests
from raysweep.asking import Plan
from raysweep.bill_watch import BillWatch
from raysweep.clock import Clock
from raysweep.config import HyperoptSearch, OptunaSearch
from raysweep.config.identity import digests
from raysweep.entries import ALL_ENDED, Entry, SweepEnded, SweepResumed, SweepStarted
from raysweep.errors import RaysweepError
from raysweep.finals import Finals
from raysweep.forecast import Forecaster
from raysweep.jobs import DataRefs, JobSpec, Outcome
from raysweep.plan import evaluation_points
from raysweep.preflight import Ready
from raysweep.recorder import Recorder
from raysweep.scoring import Prediction
from raysweep.search.history import History, Suggestion
from raysweep.search.prune import Pruner
from raysweep.settlement import Settlement
from raysweep.state import TrialState
from raysweep.task import Example
from raysweep.tuning.driver import Driver
from raysweep.tuning.purse import Means
from raysweep.tuning.replay import replay
from raysweep.tuning.rules import Rules
from raysweep.tuning.runner import Resources, Runner, Static, Ticker
from raysweep.tuning.signals import signals

ORDERED_LAG = 4
"""Asks behind which an ordered search waits for results, in units of the concurrency."""
MAX_SEED = 2**31 - 1
"""What hosts of the fine-tuning wire take at most."""
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
        """Search, then score the best; when this returns or raises, every trial has ended or its job is left."""
        driver, settlement = self._driver(), self._settlement
        with signals(driver.interrupt):
            self.recorder.record(self._resumed() if self.past else self._started())
            if self.past:
                settlement.begin()
            self._replay(driver)
            try:
                self._run_trials(driver)
            finally:
                driver.close(settlement.finished() if driver.signal and not (driver.error or driver.is_leaving) else ())
                problems = settlement.end(is_left=driver.is_leaving, is_hurried=driver.signal is not None)
            if driver.error:
                raise driver.error
            problems += self._score_finals(driver)
            if problems or driver.signal:  # whoever scored may have been killed, and left a deployment
                problems += settlement.end(is_left=driver.is_leaving, is_hurried=True)
            self.recorder.record(self._ended(driver, problems))

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
        is_open = len(state.trials) < self.n_trials or any(trial.can_go_on for trial in state.trials.values())
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
        spec = self._spec(Suggestion(trial.number, self.ready.space.project(trial.params)), driver.pruner)
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
        )

    @property
    def _first_concurrency(self) -> int:
        """With which the sweep began: what was shown to an ordered search then is what is shown now."""
        started = self.recorder.state.started
        return (started.concurrency if started else 0) or self.concurrency

    def _resumed(self) -> SweepResumed:
        return SweepResumed(self.clock.now(), self.n_trials, version("raysweep"), self.ready.config.budget.max_usd)

    def _driver(self) -> Driver:
        config = self.ready.config
        is_ordered = isinstance(config.search, HyperoptSearch | OptunaSearch) and config.search.ordered
        history = History(
            self.ready.make_proposer(),
            config.goal,
            n_trials=self.n_trials,
            concurrency=self.concurrency,
            lag=ORDERED_LAG * self._first_concurrency if is_ordered else None,
        )
        rules = Rules(
            config.goal,
            config.stopping_goal,
            self.ready.space.searched(),
            target=config.target,
            time_s=config.time_s,
            concurrency=self.concurrency,
            attempts=config.retries.attempts,
            wait_s=config.retries.wait_s,
            has_host=self.ready.capabilities.has_host,
            leaves_jobs=config.on_interrupt == "leave",
        )
        pruner = self.ready.make_pruner()
        return Driver(
            rules,
            history=history,
            pruner=pruner,
            make_spec=lambda suggestion: self._spec(suggestion, pruner),
            recorder=self.recorder,
            clock=self.clock,
            means=Means(
                partial(self.ready.trainer.estimate, data=self.data) if self.ready.capabilities.is_paid else None,
                config.budget.max_usd,
                scores_best=config.final.test,
                n_finalists=min(config.final.top, self.n_trials),
                base_usd=Plan(self.ready).usd,
            ),
        )

    def _spec(self, suggestion: Suggestion, pruner: Pruner) -> JobSpec:
        config = self.ready.config
        params = self.ready.complete(suggestion.params)
        return JobSpec(
            sweep_id=self.sweep_id,
            trial=suggestion.number,
            attempt=1,
            params=params,
            seed=random.Random(f"{config.seed}-{suggestion.number}").randrange(MAX_SEED),
            folder=ranking.folder_of(self.folder, suggestion.number),
            evaluate_at=evaluation_points(config, pruner, params),
        )


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

"""Makes the drivers of a session: the search's, then that of the finalists' replicas."""

import random
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from raysweep import ranking
from raysweep.asking import Plan
from raysweep.clock import Clock
from raysweep.config import HyperoptSearch, OptunaSearch
from raysweep.jobs import DataRefs, JobSpec
from raysweep.plan import evaluation_points
from raysweep.preflight import Ready
from raysweep.recorder import Recorder
from raysweep.search.history import History, Suggestion
from raysweep.search.prune import NoPruning
from raysweep.search.replicas import Replicas
from raysweep.tuning.driver import Driver
from raysweep.tuning.purse import Means
from raysweep.tuning.rules import Rules

ORDERED_LAG = 4
"""Asks behind which an ordered search waits for results, in units of the concurrency."""
MAX_SEED = 2**31 - 1
"""What hosts of the fine-tuning wire take at most."""


@dataclass(frozen=True)
class Drivers:
    """The parts that a session's drivers share."""

    ready: Ready
    data: DataRefs
    sweep_id: str
    folder: Path
    n_trials: int
    concurrency: int
    recorder: Recorder
    clock: Clock

    def search(self) -> Driver:
        """Of the search; it knows nothing of the past yet."""
        return Driver(
            self._rules,
            history=self._history,
            pruner=self.ready.make_pruner(),
            make_spec=self.spec,
            recorder=self.recorder,
            clock=self.clock,
            means=self._means,
        )

    def replicas(self) -> Driver:
        """Of the replicas that are still to be made; none is pruned, and there is no target to reach."""
        final, standing = self.ready.config.final, self.recorder.state.standing
        planned = [
            Suggestion(number, trial.params) for number, trial in standing.replicas_to_make(final.top, final.replicas)
        ]
        driver = Driver(
            replace(self._rules, target=None, replicates=True),
            history=Replicas(planned, self.concurrency),
            pruner=NoPruning(),
            make_spec=self._repeat,
            recorder=self.recorder,
            clock=self.clock,
            means=replace(self._means, replicates=True),
        )
        for _, trial in standing.to_test(final.top):  # so that the purse knows what their scores take
            driver.purse.begin(self._repeat(Suggestion(trial.number, trial.params)))
        return driver

    def spec(self, suggestion: Suggestion) -> JobSpec:
        """The job of a point of the space; its seed follows from the sweep's and the number."""
        return self._repeat(Suggestion(suggestion.number, self.ready.complete(suggestion.params)))

    def _repeat(self, suggestion: Suggestion) -> JobSpec:
        """The job of complete params."""
        config, number = self.ready.config, suggestion.number
        return JobSpec(
            sweep_id=self.sweep_id,
            trial=number,
            attempt=1,
            params=suggestion.params,
            seed=random.Random(f"{config.seed}-{number}").randrange(MAX_SEED),
            folder=ranking.folder_of(self.folder, number),
            evaluate_at=evaluation_points(config, self.ready.make_pruner(), suggestion.params),
        )

    @property
    def _history(self) -> History:
        config = self.ready.config
        is_ordered = isinstance(config.search, HyperoptSearch | OptunaSearch) and config.search.ordered
        return History(
            self.ready.make_proposer(),
            config.goal,
            n_trials=self.n_trials,
            concurrency=self.concurrency,
            lag=ORDERED_LAG * self._first_concurrency if is_ordered else None,
        )

    @property
    def _first_concurrency(self) -> int:
        """With which the sweep began: what was shown to an ordered search then is what is shown now."""
        started = self.recorder.state.started
        return (started.concurrency if started else 0) or self.concurrency

    @property
    def _rules(self) -> Rules:
        config = self.ready.config
        return Rules(
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

    @property
    def _means(self) -> Means:
        config = self.ready.config
        return Means(
            partial(self.ready.trainer.estimate, data=self.data) if self.ready.capabilities.is_paid else None,
            config.budget.max_usd,
            scores_best=config.final.test,
            n_finalists=min(config.final.top + 1, self.n_trials),  # the default configuration is scored too
            base_usd=Plan(self.ready).usd,
            n_replicas=min(config.final.top, self.n_trials) * config.final.replicas,
        )

"""One sweep from its settings to its results: the assembly of all the parts."""

import random
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from raysweep import baseline, environment, results
from raysweep.clock import Clock, RealClock
from raysweep.config import HyperoptSearch, SweepConfig
from raysweep.dimensions import Params
from raysweep.entries import FinalScored, SweepEnded, SweepStarted
from raysweep.errors import ClusterError, RaysweepError
from raysweep.folder import open_ledger, refuse_unusable
from raysweep.jobs import DataRefs, JobSpec
from raysweep.plan import budget_epochs, evaluation_points
from raysweep.preflight import Ready, make_ready
from raysweep.recorder import Recorder
from raysweep.results import Results
from raysweep.scoring import score
from raysweep.search.history import History, Suggestion
from raysweep.search.prune import Pruner
from raysweep.views.tensorboard import TensorBoardView
from raysweep.views.view import FanOut, Setting, View

if TYPE_CHECKING:
    from raysweep.tuning.actor import Static
    from raysweep.tuning.driver import Driver
    from raysweep.tuning.run import Resources

ORDERED_LAG = 4
"""Asks behind which an ordered search waits for results, in units of the concurrency."""
ID_LENGTH = 8
ALPHABET = string.ascii_lowercase + string.digits
MAX_SEED = 2**31 - 1
"""What hosts of the fine-tuning wire take at most."""


@dataclass(frozen=True)
class Options:
    """How a sweep is run, rather than what it is: nothing of this changes its results."""

    cluster: str = "auto"
    """`auto`, `local`, or the address of a Ray cluster."""
    dashboard: bool = True
    """Whether a cluster that is started here has Ray's dashboard."""
    make_view: Callable[[Setting], View] | None = None
    """What shows the sweep in the terminal; None shows nothing."""
    folder: Path | None = None
    """The sweep's folder; None: a new one in the settings' `runs_folder`."""


def run_sweep(config: SweepConfig, options: Options | None = None) -> Results:
    """Run a sweep to its end and give its results; they are also in its folder.

    Raises InputError before anything was spent, RaysweepError for what broke while it ran; what was learnt until then
    is in the folder. SIGINT and SIGTERM are ordinary ends.
    """
    options = options or Options()
    sweep_id = "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))
    folder = (options.folder or config.runs_folder / sweep_id).absolute()
    refuse_unusable(folder)
    ready = make_ready(config)
    data = ready.trainer.prepare(ready.loaded.splits)
    environment.prepare_for_ray()
    from raysweep.tuning import cluster as clusters

    with clusters.joined(options.cluster, dashboard=options.dashboard) as cluster:
        gpus = ready.capabilities.gpus or (ready.capabilities.gpus_if_any if cluster.gpus else 0.0)
        concurrency = _concurrency(ready, gpus, cluster.cpus, cluster.gpus)
        environment.stage_trials(concurrency)
        where = cluster.words + (f", dashboard at {cluster.dashboard_url}" if cluster.dashboard_url else "")
        setting = Setting(folder, concurrency, budget_epochs, lambda params: _rungs(ready, params), where)
        shown = [options.make_view(setting)] if options.make_view else []
        with open_ledger(folder, config) as ledger:
            views = FanOut([*shown, TensorBoardView(folder)])
            recorder = Recorder(ledger, views)
            try:
                _Run(ready, data, sweep_id, folder, concurrency, gpus, recorder, RealClock()).carry_out(views)
            finally:
                try:
                    results.write(Results(folder, recorder.state))
                finally:
                    views.close(recorder.state)
    return Results(folder, recorder.state)


@dataclass(frozen=True)
class _Run:
    """The part of a sweep that spends something."""

    ready: Ready
    data: DataRefs
    sweep_id: str
    folder: Path
    concurrency: int
    gpus: float
    """Of the cluster, for each trial."""
    recorder: Recorder
    clock: Clock

    def carry_out(self, ticker: FanOut) -> None:
        """Search, then score the best; every trial has ended when this returns or raises."""
        from raysweep.tuning.actor import Static
        from raysweep.tuning.cluster import signals
        from raysweep.tuning.run import Resources, run_trials

        capabilities = self.ready.capabilities
        self.recorder.record(self._started())
        static = Static(self.ready.recipe, self.data)
        resources = Resources(capabilities.cpus, self.gpus)
        driver = self._driver()
        shown = self.ready.space.searched()
        with signals(driver.interrupt):
            try:
                run_trials(driver, static, resources, shown=shown, folder=self.folder, ticker=ticker)
            finally:
                driver.close()
            if driver.error:
                raise driver.error
            problems = self._score_finals(static, resources, driver, ticker)
        reason = "; ".join([driver.end_reason or "all trials have ended", *problems])
        self.recorder.record(SweepEnded(self.clock.now(), reason, driver.signal))

    def _score_finals(
        self, static: "Static", resources: "Resources", driver: "Driver", ticker: FanOut
    ) -> tuple[str, ...]:
        """Score the best and the baseline on rows that ranked nothing, unless a signal came; what failed, in words."""
        steps: tuple[Callable[[], None], ...] = (
            lambda: self._score_best(static, resources, driver, ticker),
            self._score_baseline,
        )
        problems: list[str] = []
        for step in steps:
            if driver.signal:
                break
            try:
                step()
            except (RaysweepError, ValueError) as error:  # what was found is worth having without it
                problems.append(str(error))
        return tuple(problems)

    def _score_best(self, static: "Static", resources: "Resources", driver: "Driver", ticker: FanOut) -> None:
        from raysweep.tuning.run import predict

        best = self.recorder.state.best
        if not (self.ready.config.final.test and best and best.ended and best.ended.model):
            return
        test = self.ready.loaded.splits.test
        predictions = predict(
            static, resources, best.ended.model, test, ticker=ticker, is_stopped=lambda: driver.signal is not None
        )
        if predictions is not None:
            scores = score(self.ready.task, [example.label for example in test], predictions)
            self._score("best", best.number, "test", {f"test_{name}": value for name, value in scores.items()})

    def _score_baseline(self) -> None:
        if not self.ready.config.final.baseline:
            return
        metrics = baseline.tfidf(self.ready.loaded.splits, self.ready.task, seed=self.ready.config.seed)
        for split in ("val", "test"):
            made = {name: value for name, value in metrics.items() if name.startswith(f"{split}_")}
            self._score("tfidf", None, split, made)

    def _started(self) -> SweepStarted:
        config = self.ready.config
        return SweepStarted(
            at=self.clock.now(),
            sweep_id=self.sweep_id,
            name=config.name,
            metric=config.goal.metric,
            mode=config.goal.mode,
            trials=config.trials,
            data_fingerprint=self.ready.loaded.splits.fingerprint,
            raysweep_version=version("raysweep"),
        )

    def _driver(self) -> "Driver":
        from raysweep.tuning.driver import Driver, Rules

        config = self.ready.config
        is_ordered = isinstance(config.search, HyperoptSearch) and config.search.ordered
        history = History(
            self.ready.make_proposer(),
            config.goal,
            n_trials=config.trials,
            concurrency=self.concurrency,
            lag=ORDERED_LAG * self.concurrency if is_ordered else None,
        )
        rules = Rules(config.goal, config.stopping_goal, self.ready.space.searched(), config.target, config.time_s)
        pruner = self.ready.make_pruner()
        return Driver(
            rules,
            history=history,
            pruner=pruner,
            make_spec=lambda suggestion: self._spec(suggestion, pruner),
            recorder=self.recorder,
            clock=self.clock,
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
            folder=self.folder / "jobs" / f"trial_{suggestion.number:04d}",
            evaluate_at=evaluation_points(config, pruner, params),
        )

    def _score(self, name: str, trial: int | None, split: str, metrics: dict[str, float | None]) -> None:
        self.recorder.record(FinalScored(self.clock.now(), name, trial, split, metrics))


def _rungs(ready: Ready, params: Params) -> tuple[float, ...]:
    return ready.make_pruner().rungs_for(budget_epochs(params))


def _concurrency(ready: Ready, takes_gpus: float, cpus: float, gpus: float) -> int:
    """How many trials run at once; raises ClusterError where not even one fits."""
    takes_cpus = ready.capabilities.cpus
    if takes_gpus > gpus or takes_cpus > cpus:
        raise ClusterError(
            f"a trial takes {takes_cpus:g} CPUs and {takes_gpus:g} GPUs, the cluster has {cpus:g} and {gpus:g}; "
            "join a larger one, or ask for less in the trainer's settings"
        )
    by_gpu = int(gpus / takes_gpus) if takes_gpus else ready.config.trials
    by_cpu = int(cpus / takes_cpus)
    wished = ready.config.concurrency or max(int(cpus), 1)
    return min(wished, by_cpu, by_gpu, ready.config.trials)  # more would be asked for before anything was learnt

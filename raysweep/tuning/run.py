"""Runs a driver's trials as Ray Tune actors, and a model's predictions as a Ray task."""

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import ray
from ray import tune

from raysweep import environment
from raysweep.errors import Fault, RaysweepError
from raysweep.scoring import Prediction
from raysweep.task import Example
from raysweep.trainers import make_trainer
from raysweep.tuning import cluster
from raysweep.tuning.actor import Trial
from raysweep.tuning.driver import Driver
from raysweep.tuning.gate_actor import kept
from raysweep.tuning.runner import PREDICT_S, Cluster, Resources, Static, Ticker
from raysweep.tuning.skins import CallbackSkin, SchedulerSkin, SearcherSkin, StopperSkin, memory_words

TICK_S = 0.5


@dataclass(frozen=True)
class RayRunner:
    """Ray Tune, on a cluster that is joined or started."""

    address: str = "auto"
    """`auto`, `local`, or the address of a Ray cluster."""
    dashboard: bool = True
    """Whether a cluster that is started here has Ray's dashboard."""

    def joined(self) -> AbstractContextManager[Cluster]:
        """The cluster, for as long as the block runs; raises ClusterError where there is none."""
        return cluster.joined(self.address, dashboard=self.dashboard)

    def run_trials(
        self,
        driver: Driver,
        static: Static,
        resources: Resources,
        *,
        shown: tuple[str, ...],
        concurrency: int,
        ticker: Ticker,
    ) -> None:
        """Run the driver's trials to their end, or until it is over; returns when every actor is gone."""
        environment.stage_trials(concurrency)
        started = driver.recorder.state.started
        with kept(static.recipe, ticker, started.sweep_id if started else "") as (recipe, keeper):
            self._fit(driver, replace(static, recipe=recipe), resources, shown=shown, ticker=keeper)

    def _fit(
        self, driver: Driver, static: Static, resources: Resources, *, shown: tuple[str, ...], ticker: Ticker
    ) -> None:
        """Until Tune has come to its end; a trial that ran out of memory is no end."""
        while True:
            scheduler = SchedulerSkin(driver)
            with tempfile.TemporaryDirectory(prefix="raysweep_", ignore_cleanup_errors=True) as scratch:
                tuner = _tuner(driver, static, resources, scheduler, shown=shown, scratch=scratch, ticker=ticker)
                try:
                    tuner.fit()
                except RuntimeError as error:
                    if not isinstance(error.__cause__, ray.exceptions.OutOfMemoryError):
                        raise _failed(error) from error
                    lose_to_memory(driver, str(error.__cause__), scheduler.pids)
                except (ray.exceptions.RayError, tune.TuneError, ConnectionError) as error:
                    raise _failed(error) from error
                else:
                    return

    def predict(
        self,
        static: Static,
        resources: Resources,
        model: str,
        examples: Sequence[Example],
        *,
        ticker: Ticker,
        is_stopped: Callable[[], bool],
    ) -> Sequence[Prediction] | None:
        """What a model says of each example, worked out on the cluster like a trial; None when it was stopped.

        Raises RaysweepError where the model cannot be scored, or not within an hour.
        """
        with kept(static.recipe, ticker) as (recipe, keeper):
            task = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus)(_predict)
            answer = task.remote(replace(static, recipe=recipe), model, list(examples))
            return self._waited(answer, model, ticker=keeper, is_stopped=is_stopped)

    def _waited(
        self,
        answer: "ray.ObjectRef[Sequence[Prediction]]",
        model: str,
        *,
        ticker: Ticker,
        is_stopped: Callable[[], bool],
    ) -> Sequence[Prediction] | None:
        for _ in range(round(PREDICT_S / TICK_S)):
            ready, _pending = ray.wait([answer], timeout=TICK_S)
            ticker.tick()
            if is_stopped():
                ray.cancel(answer, force=True)
                return None
            if ready:
                return _answer(answer)
        ray.cancel(answer, force=True)
        raise RaysweepError(f"{model}: not scored within {PREDICT_S / 3600:g} h; is the cluster full?")


def lose_to_memory(driver: Driver, words: str, pids: Mapping[int, int]) -> None:
    """Ray's memory monitor killed one trial's process in mid-step, and Tune stopped all the others over it.

    `pids`: the process of each trial. Where Ray's words do not tell which one it was, each may have been.
    """
    killed = {int(pid) for pid in re.findall(r"pid[=: ]+(\d+)", words)}
    culprits = [trial for trial in driver.live if pids.get(trial) in killed]
    reason = memory_words(words)
    for trial in driver.live:
        if trial in culprits:
            driver.lose(trial, reason, Fault.MEMORY)
        elif culprits:
            driver.lose(trial, f"stopped when trial {culprits[0]} was killed for its memory", None)
        else:
            driver.lose(trial, reason, Fault.HOST)


def _tuner(
    driver: Driver,
    static: Static,
    resources: Resources,
    scheduler: SchedulerSkin,
    *,
    shown: tuple[str, ...],
    scratch: str,
    ticker: Ticker,
) -> tune.Tuner:
    """Tune's own files go to a scratch folder: nobody reads them, and the sweep's storage may be gone for a while."""
    takes = {"cpus": resources.cpus, "gpus": resources.gpus}
    return tune.Tuner(
        tune.with_parameters(Trial, static=static),
        tune_config=tune.TuneConfig(
            search_alg=SearcherSkin(driver, shown, takes, ticker),
            scheduler=scheduler,
            num_samples=-1,
            reuse_actors=False,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=scratch,
            stop=StopperSkin(driver, scheduler),
            callbacks=[CallbackSkin(ticker)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=0),  # the driver decides who is tried again
            verbose=0,
        ),
    )


def _name(trial: "tune.experiment.Trial") -> str:
    return f"trial_{trial.config['spec'].trial:04d}_{trial.config['spec'].attempt}"


def _answer(reference: "ray.ObjectRef[Sequence[Prediction]]") -> Sequence[Prediction]:
    try:
        predictions: Sequence[Prediction] = ray.get(reference)
    except ray.exceptions.RayError as error:
        raise RaysweepError(f"the best model could not be scored: {_last_line(error)}") from error
    return predictions


def _failed(error: Exception) -> RaysweepError:
    return RaysweepError(f"Ray failed: {_last_line(error)}; `raysweep resume` goes on")


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


def _predict(static: Static, model: str, examples: Sequence[Example]) -> Sequence[Prediction]:
    return make_trainer(static.recipe).predict(model, examples)

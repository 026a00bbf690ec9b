"""Runs a driver's trials as Ray Tune actors, and a model's predictions as a Ray task."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ray
from ray import tune

from raysweep.errors import RaysweepError
from raysweep.scoring import Prediction
from raysweep.task import Example
from raysweep.trainers import make_trainer
from raysweep.tuning.actor import Static, Trial
from raysweep.tuning.driver import Driver
from raysweep.tuning.skins import CallbackSkin, SchedulerSkin, SearcherSkin, StopperSkin, Ticker

TICK_S = 0.5
PREDICT_S = 3600.0
"""The longest that the best model's scores are waited for."""


@dataclass(frozen=True)
class Resources:
    """What each trial takes of the cluster."""

    cpus: float
    gpus: float


def run_trials(
    driver: Driver, static: Static, resources: Resources, *, shown: tuple[str, ...], folder: Path, ticker: Ticker
) -> None:
    """Run the driver's trials to their end, or until it is over; returns when every actor is gone.

    The cluster must have been joined.
    """
    takes = {"cpus": resources.cpus, "gpus": resources.gpus}
    tuner = tune.Tuner(
        tune.with_parameters(Trial, static=static),
        tune_config=tune.TuneConfig(
            search_alg=SearcherSkin(driver, shown, takes),
            scheduler=SchedulerSkin(driver),
            num_samples=-1,
            reuse_actors=False,
            trial_name_creator=lambda trial: f"trial_{trial.config['spec'].trial:04d}",
            trial_dirname_creator=lambda trial: f"trial_{trial.config['spec'].trial:04d}",
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(folder),
            stop=StopperSkin(driver),
            callbacks=[CallbackSkin(ticker)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=0),
            verbose=0,
        ),
    )
    tuner.fit()


def predict(
    static: Static,
    resources: Resources,
    model: str,
    examples: Sequence[Example],
    *,
    ticker: Ticker,
    is_stopped: Callable[[], bool],
) -> Sequence[Prediction] | None:
    """What a model that a trial has made says of each example, worked out on the cluster like the trial itself.

    None when it was stopped. Raises RaysweepError where the model cannot be scored, or not within an hour.
    """
    task = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus)(_predict)
    answer = task.remote(static, model, list(examples))
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


def _answer(reference: "ray.ObjectRef[Sequence[Prediction]]") -> Sequence[Prediction]:
    try:
        predictions: Sequence[Prediction] = ray.get(reference)
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]
        raise RaysweepError(f"the best model could not be scored: {last}") from error
    return predictions


def _predict(static: Static, model: str, examples: Sequence[Example]) -> Sequence[Prediction]:
    return make_trainer(static.recipe).predict(model, examples)

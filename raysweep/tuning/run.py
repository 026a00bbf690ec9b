"""Runs a driver's trials as Ray Tune actors, and a model's predictions as a Ray task."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ray
from ray import tune

from raysweep.scoring import Prediction
from raysweep.task import Example
from raysweep.trainers import make_trainer
from raysweep.tuning.actor import Static, Trial
from raysweep.tuning.cluster import signals
from raysweep.tuning.driver import Driver
from raysweep.tuning.skins import CallbackSkin, SchedulerSkin, SearcherSkin, StopperSkin, Ticker


@dataclass(frozen=True)
class Resources:
    """What each trial takes of the cluster."""

    cpus: float
    gpus: float


def run_trials(
    driver: Driver, static: Static, resources: Resources, *, shown: tuple[str, ...], folder: Path, ticker: Ticker
) -> None:
    """Run the driver's trials to their end, or until it is over; returns when every actor is gone.

    The cluster must have been joined. SIGINT and SIGTERM stop the driver; a second one raises KeyboardInterrupt.
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
    with signals(driver.interrupt):
        tuner.fit()


def predict(static: Static, resources: Resources, model: str, examples: Sequence[Example]) -> Sequence[Prediction]:
    """What a model that a trial has made says of each example, worked out on the cluster like the trial itself."""
    task = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus)(_predict)
    predictions: Sequence[Prediction] = ray.get(task.remote(static, model, list(examples)))
    return predictions


def _predict(static: Static, model: str, examples: Sequence[Example]) -> Sequence[Prediction]:
    return make_trainer(static.recipe).predict(model, examples)

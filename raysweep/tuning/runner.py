"""What carries out a sweep's trials, as a seam: Ray in earnest, plain processes where a test wants no Ray."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from raysweep.jobs import DataRefs
from raysweep.scoring import Prediction
from raysweep.task import Example
from raysweep.trainers import TrainerRecipe
from raysweep.tuning.driver import Driver

PREDICT_S = 3600.0
"""The longest that the best model's scores are waited for."""


@dataclass(frozen=True)
class Cluster:
    """Where the trials run."""

    words: str
    """For people: what was joined or started."""
    cpus: float
    gpus: float
    dashboard_url: str | None


@dataclass(frozen=True)
class Static:
    """What all actors of a sweep share; travels to each once."""

    recipe: TrainerRecipe
    data: DataRefs


@dataclass(frozen=True)
class Resources:
    """What each trial takes of the cluster."""

    cpus: float
    gpus: float


class Ticker(Protocol):
    """Wants to be called now and then."""

    def tick(self) -> None:
        """Time has passed."""
        ...


class Runner(Protocol):
    """Runs a driver's trials and a model's predictions somewhere."""

    def joined(self) -> AbstractContextManager[Cluster]:
        """The place, for as long as the block runs; raises ClusterError where there is none."""
        ...

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
        ...

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
        """What a model says of each example; None when it was stopped. Raises RaysweepError where it cannot be had."""
        ...

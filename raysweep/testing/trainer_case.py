"""What a trainer's conformance tests are given: the trainer, its data, and jobs of it."""

import gc
import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import pytest

from raysweep.dataset import Splits
from raysweep.dimensions import ParamValue
from raysweep.jobs import Capabilities, DataRefs, Evaluation, Job, JobSpec, JobView, Progress, Trainer
from raysweep.task import Task
from raysweep.testing.toy_data import TOY_SPLITS, TOY_TASK
from raysweep.testing.trainer_worker import Worker


@dataclass(frozen=True)
class Run:
    """What a job has told, from a submit to its end."""

    evaluations: tuple[Evaluation, ...]
    end: Progress


class TrainerCase(ABC):
    """The trainer under test, and how much time it needs; a test's own files go into `folder`."""

    task: Task = TOY_TASK
    splits: Splits = TOY_SPLITS
    params: Mapping[str, ParamValue] = MappingProxyType({})
    """Where the defaults will not do; `n_epochs` is the budget, if the trainer takes it."""
    look_s: float = 0.05
    """How long a look at a job takes, at the most, in tests that want many of them."""
    patience_s: float = 30.0
    """The longest that a job on these rows takes."""
    cancel_s: float = 2.0
    """The longest that a busy `advance` goes on after a cancel."""
    busy_epochs: float = 100.0
    """A budget that keeps a job busy for some seconds at least."""
    tolerance: float = 0.0
    """How far two runs of one spec may differ in a metric."""
    n_random_kills: int = 5
    preload: Sequence[str] = ()
    """Modules that are slow to import: with them, processes to be killed are forked rather than started anew."""
    folder: Path

    @abstractmethod
    def make_trainer(self) -> Trainer:
        """A new trainer; each one of a test must see the same host. It is called in other processes, too."""

    @pytest.fixture(autouse=True)
    def _own_folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def capabilities(self) -> Capabilities:
        """Of a new trainer."""
        return self.make_trainer().describe()

    def data(self, trainer: Trainer) -> DataRefs:
        """As this trainer prepares them."""
        return trainer.prepare(self.splits)

    def spec(self, name: str, evaluate_at: tuple[float, ...] = ()) -> JobSpec:
        """The first attempt at a trial, alone in a sweep and in a folder that the name decides."""
        takes = self.capabilities()
        points = evaluate_at or ((0.5, 1.0, 2.0) if takes.evaluates_anywhere else (1.0, 2.0, 3.0))
        budget: dict[str, ParamValue] = {"n_epochs": points[-1]} if "n_epochs" in takes.params else {}
        defaults = {key: doc.default for key, doc in takes.params.items()}
        sweep_id = hashlib.sha256(f"{self.folder} {name}".encode()).hexdigest()[:8]
        complete = {**defaults, **budget, **self.params}
        return JobSpec(sweep_id, 0, 1, complete, 7, self.folder / "jobs" / name, points)

    def submit(self, spec: JobSpec) -> Job:
        """By a trainer of its own."""
        trainer = self.make_trainer()
        return trainer.submit(spec, self.data(trainer))

    def follow(self, job: Job, n_evaluations: int | None = None) -> Run:
        """The job to its end, or until it has told so many evaluations."""
        told: list[Evaluation] = []
        for _ in range(1000):
            progress = job.advance(self.patience_s)
            told += [progress.evaluation] if progress.evaluation else []
            if progress.is_final or len(told) == n_evaluations:
                return Run(tuple(told), progress)
        raise AssertionError("the job is not final after 1000 looks")

    def run(self, spec: JobSpec, n_evaluations: int | None = None) -> Run:
        """A job from submit to its end, or until it has told so much; then it is dropped without a word."""
        run = self.follow(self.submit(spec), n_evaluations)
        gc.collect()
        return run

    def undisturbed(self) -> Run:
        """The whole curve, from a folder where nothing ever goes wrong."""
        return self.run(self.spec("undisturbed"))

    def taken_up(self, spec: JobSpec, attempt: int, n_evaluations: int) -> JobSpec:
        """The spec of whoever comes after a death: a job at a host lives on under its attempt, a local one is dead."""
        same = self.capabilities().has_host
        return replace(spec, attempt=spec.attempt if same else attempt, n_evaluations=n_evaluations)

    def worker(self, spec: JobSpec) -> Worker:
        """A process that works at it until it is killed."""
        return Worker(self.make_trainer, self.splits, spec, look_s=self.look_s, preload=self.preload)

    def listed(self, sweep_id: str) -> list[JobView]:
        """The sweep's jobs, once the host's list can hold them."""
        trainer = self.make_trainer()
        time.sleep(trainer.describe().listing_lag_s)
        return list(trainer.jobs(sweep_id))

    def assert_same(self, expected: Sequence[Evaluation], told: Sequence[Evaluation]) -> None:
        """Each evaluation once, in order, with the same numbers."""
        assert [one.epoch for one in expected] == [one.epoch for one in told]
        for one, other in zip(expected, told, strict=True):
            assert (one.examples, one.trained_tokens) == (other.examples, other.trained_tokens)
            assert _undefined(one.metrics) == _undefined(other.metrics)
            numbers = {name: value for name, value in other.metrics.items() if value is not None}
            found = {name: value for name, value in one.metrics.items() if value is not None}
            assert found == pytest.approx(numbers, abs=self.tolerance, rel=self.tolerance)


def _undefined(metrics: Mapping[str, float | None]) -> set[str]:
    return {name for name, value in metrics.items() if value is None}

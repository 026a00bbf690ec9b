"""The Ray Tune trainable that owns one job: starts it, watches it, and cancels it when it is stopped."""

import asyncio
import contextlib
import socket
import threading
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ray import tune

from raysweep.errors import DataError, Fault, InputError, JobFailed
from raysweep.jobs import DataRefs, Job, JobSpec
from raysweep.space import Params
from raysweep.trainers import TrainerRecipe, make_trainer
from raysweep.tuning.driver import Report

POLL_S = 5.0
"""How long a step waits for the next evaluation before it says that it is still alive."""
SUBMIT_WAIT_S = 8.0
"""How long a stop waits for a submit in flight; Tune kills an actor 10 s after it asked it to stop."""


@dataclass(frozen=True)
class Static:
    """What all actors of a sweep share; travels through Ray's object store once."""

    recipe: TrainerRecipe
    data: DataRefs


class Trial(tune.Trainable):
    """One trial. `train` and `stop` are async, so that a stop reaches an actor whose step is busy.

    Each runs the base class's method on a thread of its own: torch keeps settings by thread.
    """

    def setup(self, config: dict[str, Any], static: Static) -> None:  # type: ignore[override]  # with_parameters gives it
        """No outside effect: the job begins in the first step."""
        self._spec: JobSpec = config["spec"]
        self._shown: tuple[str, ...] = config["shown"]
        self._static = static
        self._job: Job | None = None
        self._is_stopping = False
        self._submitting = threading.Lock()
        self._train_thread = ThreadPoolExecutor(1, thread_name_prefix="train")
        self._stop_thread = ThreadPoolExecutor(1, thread_name_prefix="stop")

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        """What the trainer said that a job takes."""
        bundle = {"CPU": config["cpus"]} | ({"GPU": config["gpus"]} if config["gpus"] else {})
        return tune.PlacementGroupFactory([bundle])

    async def train(self) -> dict[str, Any]:
        """Run one step on the training thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._train_thread, tune.Trainable.train, self)

    async def stop(self) -> None:
        """Run the base class's stop, and so `cleanup`, beside a step that is busy."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._stop_thread, tune.Trainable.stop, self)

    def step(self) -> dict[str, Any]:
        """Submit the job, or follow it to its next evaluation, its end, or for a few seconds."""
        try:
            report = self._submit() if self._job is None else self._advance(self._job)
        except JobFailed as failure:
            report = self._failed(failure)
        except DataError as error:
            report = self._failed(JobFailed(str(error), Fault.DATA))
        except InputError as error:
            report = self._failed(JobFailed(str(error), Fault.PARAMS))
        except Exception as error:  # noqa: BLE001  # the border of the process: not every exception can be pickled
            report = self._failed(JobFailed(f"{type(error).__name__}: {error}", Fault.HOST))
            self._keep_traceback()
        is_final = report.failure is not None or (report.progress is not None and report.progress.is_final)
        return {"report": report, "done": is_final}

    def cleanup(self) -> None:
        """Cancel the job that this actor made or adopted; beside a running step, and more than once."""
        self._is_stopping = True
        if self._submitting.acquire(timeout=SUBMIT_WAIT_S):
            self._submitting.release()
        if self._job is not None:
            self._job.cancel()

    def __repr__(self) -> str:
        return f"trial {self._spec.trial} {in_short(self._spec.params, self._shown)}"

    def _submit(self) -> Report:
        with self._submitting:
            if self._is_stopping:  # nothing is begun only to be cancelled
                return Report("", socket.gethostname())
            trainer = make_trainer(self._static.recipe)
            self._job = trainer.submit(self._spec, self._static.data)
        if self._is_stopping:
            self._job.cancel()
        return Report(self._job.id, socket.gethostname())

    def _failed(self, failure: JobFailed) -> Report:
        return Report(self._job.id if self._job else "", socket.gethostname(), failure=failure)

    def _keep_traceback(self) -> None:
        """Beside the job's other files, for whoever has to mend the trainer."""
        with contextlib.suppress(OSError):  # the failure itself is reported all the same
            self._spec.folder.mkdir(parents=True, exist_ok=True)
            (self._spec.folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")

    def _advance(self, job: Job) -> Report:
        return Report(job.id, socket.gethostname(), job.advance(POLL_S))


def in_short(params: Params, names: tuple[str, ...]) -> str:
    """The named params in one line, as they are shown beside a trial's number."""
    return " ".join(f"{name}={_short(params[name])}" for name in names if name in params)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def tune_config(spec: JobSpec, shown: tuple[str, ...], resources: Mapping[str, float]) -> dict[str, Any]:
    """What Tune is given as a trial's config."""
    return {"spec": spec, "shown": shown, **resources}

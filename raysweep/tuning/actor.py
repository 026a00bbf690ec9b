"""The Ray Tune trainable that owns one job: starts it, watches it, and cancels or leaves it when it is stopped."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ray import tune

from raysweep.jobs import JobSpec
from raysweep.space import Params
from raysweep.tuning.runner import Static
from raysweep.tuning.work import Work, is_last


class Trial(tune.Trainable):
    """One trial. `train` and `stop` are async, so that a stop reaches an actor whose step is busy.

    Each runs the base class's method on a thread of its own: torch keeps settings by thread.
    """

    def setup(self, config: dict[str, Any], static: Static) -> None:  # type: ignore[override]  # with_parameters gives it
        """No outside effect: the job begins in the first step."""
        self._spec: JobSpec = config["spec"]
        self._shown: tuple[str, ...] = config["shown"]
        self._work = Work(self._spec, static)
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

    async def leave(self) -> None:
        """From now on a stop lets go of the job in place of cancelling it; answered beside a step that is busy."""
        self._work.leave()

    def step(self) -> dict[str, Any]:
        """Submit the job, or follow it to its next evaluation, its end, or for a few seconds."""
        report = self._work.step()
        return {"report": report, "done": is_last(report)}

    def cleanup(self) -> None:
        """Cancel the job that this actor made or adopted, or let go of it; beside a running step, more than once."""
        self._work.stop()

    def __repr__(self) -> str:
        return f"trial {self._spec.trial} {in_short(self._spec.params, self._shown)}"


def in_short(params: Params, names: tuple[str, ...]) -> str:
    """The named params in one line, as they are shown beside a trial's number."""
    return " ".join(f"{name}={_short(params[name])}" for name in names if name in params)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def tune_config(spec: JobSpec, shown: tuple[str, ...], resources: Mapping[str, float]) -> dict[str, Any]:
    """What Tune is given as a trial's config."""
    return {"spec": spec, "shown": shown, **resources}

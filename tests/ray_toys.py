"""Toys for the contract with Ray: a trial that does what its config says, and Tune's four faces, which write down what
they are told. They lean on Tune as `raysweep.tuning` does, and on nothing else of raysweep.
"""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

CPUS = 0.5
"""Of each trial."""


@dataclass(frozen=True)
class Spec:
    """What a trial is to do; an object of our own, as `JobSpec` is."""

    number: int
    folder: Path
    """Where the trial's process leaves what it did."""
    steps: int = 2
    """Results until it is done."""
    stopped_after: int | None = None
    """The result after which the scheduler stops it."""
    dies_in: str = ""
    """`setup`: raises there; `step`: is killed in its second."""
    blocks: bool = False
    """Its second step lasts until the trial is stopped."""
    stop_s: float = 0.0
    """How long its cleanup takes."""


@dataclass(frozen=True)
class Static:
    """What all trials share."""

    word: str


@dataclass(frozen=True)
class Said:
    """What a trial says after a step."""

    number: int
    step: int
    word: str
    spec: Spec
    pid: int


class Toy(tune.Trainable):
    """Async `train` and `stop` on threads of their own, as raysweep's trial."""

    def setup(self, config: dict[str, Any], static: Static) -> None:
        self._spec = config["spec"]
        self._static = static
        self._stopping = threading.Event()
        self._train_thread = ThreadPoolExecutor(1)
        self._stop_thread = ThreadPoolExecutor(1)
        self._mark("pid", str(os.getpid()))
        if self._spec.dies_in == "setup":
            raise RuntimeError("broken in setup")

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([{"CPU": config["cpus"]}])

    async def train(self) -> dict[str, Any]:
        return await asyncio.get_running_loop().run_in_executor(self._train_thread, tune.Trainable.train, self)

    async def stop(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._stop_thread, tune.Trainable.stop, self)

    def step(self) -> dict[str, Any]:
        step = self.iteration + 1
        if self._spec.dies_in == "step" and step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._spec.blocks and step == 2:
            self._mark("blocks", str(time.time()))
            self._stopping.wait(120)
        said = Said(self._spec.number, step, self._static.word, self._spec, os.getpid())
        return {"report": said, "done": step == self._spec.steps}

    def cleanup(self) -> None:
        self._mark("asked to stop", str(time.time()))
        time.sleep(self._spec.stop_s)
        self._mark("cleaned up", str(time.time()))
        self._stopping.set()  # only now, so that a step that blocks does so through all of it

    def _mark(self, what: str, text: str) -> None:
        (self._spec.folder / f"{self._spec.number} {what}").write_text(text, encoding="utf-8")


def sleep(duration_s: float) -> None:
    """A task that is busy."""
    time.sleep(duration_s)


def fail(words: str) -> None:
    """A task that fails."""
    raise ValueError(words)


@dataclass
class Seen:
    """What Tune told its faces, and what the trials' processes left in the folder."""

    folder: Path
    events: list[tuple[str, str, int, Any]] = field(default_factory=list)
    """In order: who was told, what, of which trial, and what came with it."""
    asked_s: list[float] = field(default_factory=list)
    """When `suggest` was called."""
    ticked_s: list[float] = field(default_factory=list)
    """When `on_step_end` was called."""
    most_pending: int = 0
    """Trials that waited for their process at once, at most."""
    saves: int = 0
    is_over: bool = False
    """Ends the sweep."""
    idle_s: float = 0.0
    """Since when nothing ran."""
    signals: list[int] = field(default_factory=list)
    """That our own handler was called with."""
    signalled_s: float = 0.0
    returned_s: float = 0.0
    lock: Any = field(default_factory=threading.Lock)
    """Cannot be pickled, as an open ledger cannot."""

    def told(self, face: str, what: str, number: int) -> list[Any]:
        """What came with such events."""
        return [event[3] for event in self.events if event[:3] == (face, what, number)]

    def marked(self, number: int, what: str) -> str | None:
        """What a trial's process left, if it did."""
        mark = self.folder / f"{number} {what}"
        return mark.read_text(encoding="utf-8") if mark.exists() else None

    def n_ended(self) -> int:
        """Trials that the searcher was told the end of."""
        return sum(event[:2] == ("searcher", "complete") for event in self.events)


Script = Callable[[Seen], Iterator[Spec | None]]
"""Yields what `suggest` is to answer: a trial, or None to wait; its end is the sweep's."""


class Unpickled:
    def __getstate__(self) -> dict[str, Any]:
        return {}


class Asker(Unpickled, Searcher):
    def __init__(self, seen: Seen, script: Script) -> None:
        super().__init__()
        self._seen = seen
        self._script = script(seen)
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        self._seen.asked_s.append(time.monotonic())
        spec = Searcher.FINISHED if self._seen.is_over else next(self._script, Searcher.FINISHED)
        if not isinstance(spec, Spec):
            return spec
        self._numbers[trial_id] = spec.number
        self._seen.events.append(("searcher", "suggest", spec.number, trial_id))
        return {"spec": spec, "cpus": CPUS}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self._seen.events.append(("searcher", "complete", self._numbers[trial_id], error))

    def save(self, checkpoint_path: str) -> None:
        self._seen.saves += 1

    def restore(self, checkpoint_path: str) -> None: ...


class Judge(Unpickled, FIFOScheduler):
    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        self._write(trial, "result", result["report"])
        spec: Spec = trial.config["spec"]
        return TrialScheduler.STOP if result["report"].step == spec.stopped_after else TrialScheduler.CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._write(trial, "complete", result.get("report"))

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        path = trial.error_file
        self._write(trial, "error", Path(path).read_text(encoding="utf-8") if path else "")

    def _write(self, trial: Any, what: str, more: object) -> None:
        self._seen.events.append(("scheduler", what, trial.config["spec"].number, more))


class Ender(Unpickled, tune.Stopper):
    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._seen.is_over


class Watcher(Unpickled, tune.Callback):
    def __init__(self, seen: Seen, on_tick: Callable[[], None]) -> None:
        self._seen = seen
        self._on_tick = on_tick

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._seen.ticked_s.append(time.monotonic())
        pending = sum(trial.status == "PENDING" for trial in trials)
        self._seen.most_pending = max(self._seen.most_pending, pending)
        self._on_tick()


def run(seen: Seen, script: Script, on_tick: Callable[[], None] = lambda: None) -> Seen:
    """Run a script as raysweep runs a sweep; gives what was seen."""
    tuner = tune.Tuner(
        tune.with_parameters(Toy, static=Static("shared")),
        tune_config=tune.TuneConfig(
            search_alg=Asker(seen, script),
            scheduler=Judge(seen),
            num_samples=-1,
            reuse_actors=False,
            trial_name_creator=lambda trial: f"trial_{trial.config['spec'].number:04d}",
            trial_dirname_creator=lambda trial: f"trial_{trial.config['spec'].number:04d}",
        ),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(seen.folder),
            stop=Ender(seen),
            callbacks=[Watcher(seen, on_tick)],
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=0),
            verbose=0,
        ),
    )
    tuner.fit()
    return seen

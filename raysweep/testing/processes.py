"""A runner without Ray: each trial in a process of its own on this machine. For tests, and for proofs by chaos."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait

from raysweep.errors import RaysweepError
from raysweep.jobs import JobSpec
from raysweep.scoring import Prediction
from raysweep.search.history import Done
from raysweep.task import Example
from raysweep.testing.nursery import Child, Nursery
from raysweep.testing.worker import LEAVE, STEP, STOP, predict, work
from raysweep.trainers.gate_link import served
from raysweep.tuning.driver import Driver
from raysweep.tuning.report import Report
from raysweep.tuning.runner import PREDICT_S, Cluster, Resources, Static, Ticker
from raysweep.tuning.work import is_last

BEAT_S = 0.05
"""How often the driver is asked for trials and the views may draw."""
STOP_S = 10.0
"""Tune allows a trial as much to stop in."""
PREDICT_TRIES = 4
"""How often a prediction is begun whose process died; Ray does as much with a task."""


class ProcessRunner:
    """Runs a driver's trials as Tune does, step by step and several at once, but in plain processes.

    They die with the driver's process. What a trial takes is counted against `cpus`, which nobody enforces.
    """

    def __init__(self, *, cpus: float = 4.0, modules: Sequence[str] = (), stop_s: float = STOP_S) -> None:
        """`modules` are loaded once for all trials: name what their trainer would load each time.

        A trial that has not stopped `stop_s` after it was told to is killed.
        """
        self._cpus = cpus
        self._stop_s = stop_s
        self._modules = ("raysweep.testing.worker", *modules)

    @contextmanager
    def joined(self) -> Iterator[Cluster]:
        """This machine, for as long as the block runs."""
        self._nursery = Nursery(self._modules)
        try:
            yield Cluster("processes on this machine", self._cpus, 0.0, None)
        finally:
            self._nursery.close()

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
        """Run the driver's trials to their end, or until it is over; returns when every process is gone."""
        with served(static.recipe) as recipe:
            crew = _Crew(driver, replace(static, recipe=recipe), self._nursery, self._stop_s)
            try:
                while crew.goes_on(concurrency):
                    crew.listen()
                    ticker.tick()
            finally:
                crew.dismiss()

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
        """What a model says of each example, worked out in a process of its own; None when it was stopped.

        Raises RaysweepError where the model cannot be scored, or not within an hour.
        """
        until_s = time.monotonic() + PREDICT_S
        for _ in range(PREDICT_TRIES):
            try:
                child = self._nursery.spawn(partial(predict, static, model, tuple(examples)), "predict")
            except ChildProcessError:
                continue  # the nursery died just now: the next one is asked
            try:
                while not child.link.poll(BEAT_S):
                    ticker.tick()
                    if is_stopped():
                        return None
                    if time.monotonic() > until_s:
                        raise RaysweepError(f"{model}: not scored within {PREDICT_S / 3600:g} h")
                answer: Sequence[Prediction] | RaysweepError = child.link.recv()
            except (EOFError, OSError):
                continue
            finally:
                _end(child)
            if isinstance(answer, RaysweepError):
                raise answer
            return answer
        raise RaysweepError(f"the best model could not be scored: its process died, {PREDICT_TRIES} times")


@dataclass(frozen=True)
class _Worker:
    trial: int
    child: Child


class _Crew:
    """The processes of the trials that run, and of those that were told to stop."""

    def __init__(self, driver: Driver, static: Static, nursery: Nursery, stop_s: float) -> None:
        self._driver = driver
        self._stop_s = stop_s
        self._static = static
        self._nursery = nursery
        self._working: dict[Connection, _Worker] = {}
        self._leaving: dict[Connection, tuple[Child, float]] = {}

    def goes_on(self, concurrency: int) -> bool:
        """Begin what the driver wants to be begun; False when nothing is left to be done."""
        try:
            while len(self._working) < concurrency and not self._driver.is_over():
                answer = self._driver.suggest()
                if not isinstance(answer, JobSpec):
                    return bool(self._working) or not isinstance(answer, Done)
                self._begin(answer)
        except RaysweepError as error:
            self._driver.abort(error)
        return not self._driver.is_over()

    def listen(self) -> None:
        """Hand the driver what the trials say, as it comes, for one beat at most."""
        links = [*self._working, *self._leaving]
        if not links:
            time.sleep(BEAT_S)
        ready = wait(links, BEAT_S) if links else []
        for link in (one for one in links if one in ready):
            if link in self._leaving:
                self._let_go(link)
            else:
                self._hear(link)
        self._hurry()

    def dismiss(self) -> None:
        """Stop every trial, or have it leave its job; returns when all processes are gone."""
        for link, worker in tuple(self._working.items()):
            is_left = self._driver.is_leaving and worker.trial in self._driver.live
            self._stop(link, LEAVE if is_left else STOP)
        while self._leaving:
            ready = wait(list(self._leaving), BEAT_S)
            for link in [one for one in self._leaving if one in ready]:
                self._let_go(link)
            self._hurry()

    def _begin(self, spec: JobSpec) -> None:
        try:
            child = self._nursery.spawn(partial(work, spec, self._static), f"trial_{spec.trial:04d}")
        except ChildProcessError as error:
            self._driver.lose(spec.trial, str(error))
            return
        self._working[child.link] = _Worker(spec.trial, child)
        self._order(child, STEP)

    def _hear(self, link: Connection) -> None:
        worker = self._working[link]
        try:
            report: Report = link.recv()
        except (EOFError, OSError):
            del self._working[link]
            link.close()
            self._tell(lambda: self._driver.lose(worker.trial, "its process died"))
            return
        if self._tell(lambda: self._driver.report(worker.trial, report)) and not is_last(report):
            self._order(worker.child, STEP)
        else:
            self._stop(link)

    def _tell(self, event: Callable[[], bool | None]) -> bool:
        """Whether the trial goes on after the event."""
        try:
            return bool(event())
        except RaysweepError as error:
            self._driver.abort(error)
            return False

    def _stop(self, link: Connection, order: str = STOP) -> None:
        child = self._working.pop(link).child
        self._leaving[link] = (child, time.monotonic() + self._stop_s)
        self._order(child, order)

    def _order(self, child: Child, word: str) -> None:
        with suppress(OSError):  # it has died: whoever reads its link next is told
            child.link.send(word)

    def _let_go(self, link: Connection) -> None:
        """What a trial says once it was told to stop is of no interest; its end is."""
        try:
            link.recv()
        except (EOFError, OSError):
            del self._leaving[link]
            link.close()

    def _hurry(self) -> None:
        for child, until_s in self._leaving.values():
            if time.monotonic() > until_s:
                child.kill()


def _end(child: Child) -> None:
    child.kill()
    with suppress(EOFError, OSError):
        while True:
            child.link.recv()
    child.link.close()

"""What a process of `ProcessRunner` does: work on one trial, step by step, or make one model's predictions."""

from collections.abc import Sequence
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread

from raysweep.errors import RaysweepError
from raysweep.jobs import JobSpec
from raysweep.task import Example
from raysweep.testing.nursery import die, die_with
from raysweep.trainers import make_trainer
from raysweep.tuning.runner import Static
from raysweep.tuning.work import Work

STEP, STOP, LEAVE = "step", "stop", "leave"
"""What a trial's process is told."""


def work(spec: JobSpec, static: Static, link: Connection) -> None:
    """A trial's process: one step for each order, until it is told to stop."""
    job = Work(spec, static)
    orders: SimpleQueue[str] = SimpleQueue()
    Thread(target=_obey, args=(link, job, orders), daemon=True, name="orders").start()
    while orders.get() == STEP:
        link.send(job.step())


def predict(static: Static, model: str, examples: Sequence[Example], link: Connection) -> None:
    """A prediction's process: the answer goes over the link, or the RaysweepError that came of it."""
    die_with(link)
    try:
        link.send(make_trainer(static.recipe).predict(model, examples))
    except RaysweepError as error:
        link.send(error)
    except Exception as error:  # noqa: BLE001  # the border of the process: not every exception can be pickled
        link.send(RaysweepError(f"the best model could not be scored: {type(error).__name__}: {error}"))


def _obey(link: Connection, job: Work, orders: "SimpleQueue[str]") -> None:
    """Beside the step, so that a stop reaches a busy one and the driver's death is heard."""
    try:
        while True:
            order = link.recv()
            if order == LEAVE:
                job.leave()
            if order != STEP:
                job.stop()
            orders.put(order)
    except (EOFError, OSError):
        die()

"""An engine that trains: a child process for each running job, and one that answers chats.

A cancel kills the job's child, whatever it is busy with. A pause is told to it, and takes effect after its next step.
"""

import multiprocessing
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from raysweep.errors import RaysweepError
from raysweep.server import lora_tasks
from raysweep.server.chatfile import ChatFile
from raysweep.server.engine import Answer, Ask, Data
from raysweep.server.happenings import Broke, Finished, Held, Report, Timed
from raysweep.server.plans import plan_of
from raysweep.server.records import Job, JobError, Number, Order, Plan, Status

WORKER = "raysweep.server.lora_worker"
"""Loads torch once, for all children; the server itself never does."""
AUTOS: Mapping[str, Number] = {"n_epochs": 3, "batch_size": 8, "learning_rate_multiplier": 1.0}
ANSWER_S = 300.0
"""The longest that a chat's answer is waited for, the loading of the model included."""


@dataclass(frozen=True)
class _Child:
    process: BaseProcess
    link: Connection

    def kill(self) -> None:
        self.process.kill()
        self.link.close()


class LoraEngine:
    """Trains and answers with one causal model, by whatever name it is asked for."""

    def __init__(self, model: str, folder: Path) -> None:
        """`model` is the base model's folder; jobs keep what they need below `folder`."""
        self._model = model
        self._folder = folder
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([WORKER])
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="starter")
        self._children: dict[str, Future[_Child]] = {}
        self._answerer: _Child | None = None
        self._turn = threading.Lock()

    @property
    def name(self) -> str:
        """`lora`."""
        return "lora"

    def note(self, file: ChatFile) -> None:
        """Nothing: a model that is trained needs no answers told."""

    def plan(self, order: Order, data: Data) -> Plan:
        """`auto`: 3 epochs, batches of 8, multiplier 1."""
        return plan_of(order, data, AUTOS)

    def begin(self, job: Job, data: Data) -> None:
        """Start its process; from the state in its folder, if there is one."""
        if job.plan is None:
            raise ValueError(f"{job.id}: begun before it was validated")
        work = lora_tasks.Work(
            model=self._model,
            adapter=data.base.where if data.base else None,
            folder=self._folder / job.id,
            plan=job.plan,
            seed=job.order.seed,
            train=data.train.chats,
            validation=data.validation.chats if data.validation else (),
            seen_step=job.step,
        )
        # Beside the server's loop: the first child has to wait until torch is loaded.
        self._children[job.id] = self._starter.submit(self._start, lora_tasks.train, work)
        if job.status is Status.PAUSING:
            self.halt(job)

    def halt(self, job: Job) -> None:
        """Kill its process, or tell it to pause."""
        child = self._children.get(job.id)
        if child is None:
            return
        if job.status is Status.PAUSING:
            child.add_done_callback(_tell_to_pause)
            return
        del self._children[job.id]
        child.add_done_callback(_kill)

    def reports(self, job: Job, until_s: float) -> Sequence[Timed]:
        """What its process has said since the last look."""
        child = self._children.get(job.id)
        if child is None or not child.done():
            return ()
        found = list(_said(child))
        if found and isinstance(found[-1], Finished | Held | Broke):
            del self._children[job.id]
            child.add_done_callback(_hang_up)
        return [Timed(until_s, report) for report in found]

    def ends_at_s(self, job: Job) -> float | None:
        """Nobody knows."""
        return None

    def answer(self, ask: Ask) -> Answer:
        """By the child that answers, one chat at a time. Raises RaysweepError where it cannot."""
        with self._turn:
            self._answerer = child = self._answerer or self._start(lora_tasks.answer, self._model)
            try:
                child.link.send(ask)
                if not child.link.poll(ANSWER_S):
                    raise TimeoutError(f"nothing within {ANSWER_S:g} s")  # as if the child had died
                said: Answer | RaysweepError = child.link.recv()
            except (EOFError, OSError) as error:
                self._answerer = None
                child.kill()
                raise RaysweepError(f"the process that answers chats died: {error!r}; ask again") from error
        if isinstance(said, RaysweepError):
            raise said
        return said

    def close(self) -> None:
        """Kill every child; what they have saved stays."""
        self._starter.shutdown(wait=False, cancel_futures=True)
        for child in self._children.values():
            if not child.cancelled():
                child.add_done_callback(_kill)
        if self._answerer:
            self._answerer.kill()

    def _start(self, task: Callable[..., None], given: object) -> _Child:
        mine, theirs = self._context.Pipe()
        process = self._context.Process(target=task, args=(theirs, given), daemon=True)
        process.start()
        theirs.close()
        return _Child(process, mine)


def _said(child: "Future[_Child]") -> Iterator[Report]:
    """What has come over its link; a child that died without a last word is broken."""
    if child.exception() is not None:
        yield Broke(JobError("server_error", f"The job's process could not be started: {child.exception()!r}"))
        return
    link = child.result().link
    try:
        while link.poll():
            report: Report = link.recv()
            yield report
            if isinstance(report, Finished | Held | Broke):
                return
    except (EOFError, OSError):
        yield Broke(JobError("server_error", "The job's process died; see the server's stderr."))


def _kill(child: "Future[_Child]") -> None:
    if not child.cancelled() and child.exception() is None:
        child.result().kill()


def _hang_up(child: "Future[_Child]") -> None:
    if child.exception() is None:
        child.result().link.close()


def _tell_to_pause(child: "Future[_Child]") -> None:
    if child.cancelled() or child.exception() is not None:
        return
    with suppress(OSError):  # it has just ended, and `reports` says how
        child.result().link.send(lora_tasks.PAUSE)

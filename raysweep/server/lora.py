"""An engine that trains: a child process for each running job, and one that answers chats.

A cancel kills the job's child, whatever it is busy with. A pause is told to it, and takes effect after its next step.
"""

import multiprocessing
import threading
from collections.abc import Callable, Mapping, Sequence
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
        self._children: dict[str, _Child] = {}
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
        self._children[job.id] = self._start(lora_tasks.train, work)
        if job.status is Status.PAUSING:
            self.halt(job)

    def halt(self, job: Job) -> None:
        """Kill its process, or tell it to pause."""
        child = self._children.get(job.id)
        if child is None:
            return
        if job.status is not Status.PAUSING:
            del self._children[job.id]
            child.kill()
            return
        try:
            child.link.send(lora_tasks.PAUSE)
        except OSError:
            return  # it has just ended, and `reports` says how

    def reports(self, job: Job, until_s: float) -> Sequence[Timed]:
        """What its process has said since the last look."""
        child = self._children.get(job.id)
        found: list[Report] = []
        while child is not None and job.id in self._children:
            try:
                if not child.link.poll():
                    break
                found.append(child.link.recv())
            except (EOFError, OSError):
                found.append(Broke(JobError("server_error", "The job's process died; see the server's stderr.")))
            if isinstance(found[-1], Finished | Held | Broke):
                self._children.pop(job.id).link.close()
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
        for child in (*self._children.values(), *([self._answerer] if self._answerer else [])):
            child.kill()

    def _start(self, task: Callable[..., None], given: object) -> _Child:
        mine, theirs = self._context.Pipe()
        process = self._context.Process(target=task, args=(theirs, given), daemon=True)
        process.start()
        theirs.close()
        return _Child(process, mine)

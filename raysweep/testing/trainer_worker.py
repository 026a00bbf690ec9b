"""A job in a process of its own, which can be killed at any moment."""

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

from raysweep.dataset import Splits
from raysweep.jobs import JobSpec, Progress, Trainer

START_S = 120.0
"""The longest that a process may take to import what a trainer needs."""
_SUBMITTED = "submitted"


class Worker:
    """Submits a spec and advances its job until it is final, telling every progress; killed at the latest on exit."""

    def __init__(
        self,
        make_trainer: Callable[[], Trainer],
        splits: Splits,
        spec: JobSpec,
        *,
        look_s: float,
        preload: Sequence[str] = (),
    ) -> None:
        """`make_trainer` must be picklable; modules that are slow to import can be `preload`ed, once for many."""
        context: BaseContext = multiprocessing.get_context("forkserver" if preload else "spawn")
        context.set_forkserver_preload(["__main__", *preload])
        self._connection, theirs = context.Pipe(duplex=False)
        arguments = (theirs, make_trainer, splits, spec, look_s)
        self._process: BaseProcess = context.Process(target=_work, args=arguments, daemon=True)  # type: ignore[attr-defined]  # typeshed has it on the concrete contexts
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        """When the process has submitted its spec."""
        begun = self._told(START_S)
        if begun == _SUBMITTED:
            return self
        if begun is None:
            self._process.join(START_S)
            begun = RuntimeError(
                f"the worker died before it had submitted its spec (exit code {self._process.exitcode})"
            )
        self.__exit__(None, None, None)
        raise begun if isinstance(begun, BaseException) else RuntimeError(f"the worker began with {begun!r}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._connection.close()
        self._process.close()

    def kill(self) -> None:
        """By SIGKILL, as a machine would; returns when the process is gone."""
        self._process.kill()
        self._process.join(START_S)

    def progress(self, timeout_s: float) -> Progress | None:
        """The next one; None where the process is dead and has told everything. Raises what the job raised."""
        told = self._told(timeout_s)
        if isinstance(told, BaseException):
            raise told
        return told if isinstance(told, Progress) else None

    def rest(self) -> list[Progress]:
        """Everything told that was not looked at yet, of a process that is dead."""
        found = []
        while (progress := self.progress(START_S)) is not None:
            found.append(progress)
        return found

    def _told(self, timeout_s: float) -> object:
        if not self._connection.poll(timeout_s):
            raise TimeoutError(f"the worker said nothing for {timeout_s:g} s")
        try:
            told: object = self._connection.recv()
        except (EOFError, OSError):  # it died, perhaps in the middle of a word
            return None
        return told


def _work(
    connection: Connection, make_trainer: Callable[[], Trainer], splits: Splits, spec: JobSpec, look_s: float
) -> None:
    """Runs in the worker: tells that it has submitted, then every progress, or what was raised."""
    try:
        trainer = make_trainer()
        job = trainer.submit(spec, trainer.prepare(splits))
        connection.send(_SUBMITTED)
        progress = Progress(0.0, 0)
        while not progress.is_final:
            progress = job.advance(look_s)
            connection.send(progress)
    except Exception as error:  # noqa: BLE001  # the border of the process
        connection.send(error)
    connection.close()

"""One process at a time in a job's folder, by a lock that dies with its process; and one end of the job, kept."""

import fcntl
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from raysweep.errors import DiskError, Fault, JobFailed
from raysweep.jobs import Progress

LOCK = "job.lock"
WAIT_S = 20.0
"""How long a job waits for its predecessor: a process that dies is gone by then, its last step saved or lost."""
POLL_S = 0.1


class Hold:
    """A job's claim on its folder, from its first step until it is over, is dropped, or its process dies."""

    def __init__(self, folder: Path, *, wait_s: float | None = None) -> None:
        """Touches nothing yet; `wait_s` takes the place of WAIT_S."""
        self._path = folder / LOCK
        self._wait_s = WAIT_S if wait_s is None else wait_s
        self._asked_s: float | None = None
        self._closing: weakref.finalize[[int], Hold] | None = None
        self._is_over = threading.Event()
        self._working = threading.Lock()
        self._end: Progress | Exception | None = None

    def take(self, timeout_s: float, cancelled: threading.Event) -> bool:
        """Whether the folder is this job's now; False when the time-out or a cancel was faster: ask again.

        Raises JobFailed (host) once another has kept the folder for `wait_s`, DiskError where it cannot be made.
        """
        if self._closing is not None and self._closing.alive:
            return True
        until_s = time.monotonic() + timeout_s
        if self._asked_s is None:
            self._asked_s = time.monotonic()
        descriptor = self._opened()
        try:
            while not self._is_locked(descriptor):
                now_s = time.monotonic()
                if now_s - self._asked_s >= self._wait_s:
                    raise self._refused(f"another process has worked in it for {self._wait_s:g} s; end that one")
                if now_s >= until_s or cancelled.wait(min(POLL_S, until_s - now_s)):
                    os.close(descriptor)
                    return False
        except JobFailed:
            os.close(descriptor)
            raise
        self._closing = weakref.finalize(self, os.close, descriptor)
        return True

    @property
    def is_final(self) -> bool:
        """Whether a turn has ended the job well."""
        return isinstance(self._end, Progress)

    def turn(self, work: Callable[[], Progress]) -> Progress:
        """One turn of the job's work, with which another thread's `let_go` waits.

        What ends the job, a final progress or an exception, lets the folder go and is the answer of every later turn;
        the final progress then without its evaluation, which is handed out once.
        """
        if isinstance(self._end, Exception):
            raise self._end
        if self._end is not None:
            return self._end
        try:
            progress = self._work(work)
        except Exception as failure:
            self._end = failure
            self.let_go()
            raise
        if progress.is_final:
            self._end = replace(progress, evaluation=None)
            self.let_go()
        return progress

    def _work(self, work: Callable[[], Progress]) -> Progress:
        try:
            with self._working:
                return work()
        finally:
            self._release_if_idle()

    def let_go(self) -> None:
        """The job is over: whoever waits may begin as soon as no turn is under way. From any thread; idempotent."""
        self._is_over.set()
        self._release_if_idle()

    def _release_if_idle(self) -> None:
        """Whoever comes second, `let_go` or the end of the work, sees that the other one was there."""
        if self._is_over.is_set() and self._working.acquire(blocking=False):
            try:
                if self._closing is not None:
                    self._closing()
            finally:
                self._working.release()

    def _opened(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise DiskError(f"{self._path}: cannot be made: {error}; free space there, or mend the folder") from error

    def _is_locked(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise self._refused(f"it cannot be locked: {error}; choose a runs folder whose disk has locks") from error
        return True

    def _refused(self, why: str) -> JobFailed:
        return JobFailed(f"{self._path.parent}: {why}", Fault.HOST)

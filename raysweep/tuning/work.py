"""What is done about one trial in a process of its own, whoever runs that process; Ray is nowhere in here."""

import contextlib
import socket
import threading
import traceback
from dataclasses import replace

from raysweep.abilities import Leaves
from raysweep.errors import DataError, Fault, InputError, JobFailed
from raysweep.jobs import Job, JobSpec
from raysweep.trainers import make_trainer
from raysweep.tuning.report import Report
from raysweep.tuning.runner import Static

POLL_S = 5.0
"""How long a step waits for the next evaluation before it says that it is still alive."""
SUBMIT_WAIT_S = 8.0
"""How long a stop waits for a submit in flight, or for a step where the job is left.

Tune kills an actor 10 s after it asked it to stop.
"""


class Work:
    """One trial's job, from its submission to its end. `step` raises nothing: what goes wrong stands in its report."""

    def __init__(self, spec: JobSpec, static: Static) -> None:
        """No outside effect: the job begins in the first step."""
        self._spec = spec
        self._static = static
        self._job: Job | None = None
        self._is_stopping = False
        self._is_left = False
        self._is_leaving = False
        self._submitting = threading.Lock()
        self._stepping = threading.Lock()

    def step(self) -> Report:
        """Submit the job, or follow it to its next evaluation, its end, or for a few seconds."""
        with self._stepping:
            return self._step()

    def leave(self) -> None:
        """From now on a stop lets go of the job, which goes on at its host, in place of cancelling it."""
        self._is_leaving = True

    def _step(self) -> Report:
        try:
            return self._submit() if self._job is None else self._advance(self._job)
        except JobFailed as failure:
            is_job_over = failure.fault not in (Fault.ACCOUNT, Fault.UNKNOWN)  # the host did not speak of the job
            return replace(self._failed(failure), is_job_over=is_job_over)
        except DataError as error:
            return self._failed(JobFailed(str(error), Fault.DATA))
        except InputError as error:
            return self._failed(JobFailed(str(error), Fault.PARAMS))
        except Exception as error:  # noqa: BLE001  # the border of the process: not every exception can be pickled
            self._keep_traceback()
            reason = f"{type(error).__name__}: {error}"
            self._is_left = True  # nobody said that the job is over: whoever takes the trial up finds it by its key
            return replace(self._failed(JobFailed(reason, Fault.HOST)), is_job_over=False)

    def stop(self) -> None:
        """Cancel the job that was made or adopted here; from any thread, beside a busy step, and more than once.

        A job whose watcher broke down is left as it is: at a host it goes on, here it ends with its process. After
        `leave` every job is left, once a busy step has come back: what it was about at the host is then on record.
        """
        self._is_stopping = True
        _wait_for(self._submitting)
        self._let_go()
        if self._is_leaving:
            _wait_for(self._stepping)

    def _let_go(self) -> None:
        if self._job is None or self._is_left:
            return
        if not self._is_leaving:
            self._job.cancel()
        elif isinstance(self._job, Leaves):
            self._job.leave()

    def _submit(self) -> Report:
        with self._submitting:
            if self._is_stopping:  # nothing is begun only to be cancelled
                return Report("", socket.gethostname())
            trainer = make_trainer(self._static.recipe)
            self._job = trainer.submit(self._spec, self._static.data)
        if self._is_stopping:
            self._let_go()
        return Report(self._job.id, socket.gethostname())

    def _advance(self, job: Job) -> Report:
        return Report(job.id, socket.gethostname(), job.advance(POLL_S))

    def _failed(self, failure: JobFailed) -> Report:
        return Report(self._job.id if self._job else "", socket.gethostname(), failure=failure)

    def _keep_traceback(self) -> None:
        """Beside the job's other files, for whoever has to mend the trainer."""
        with contextlib.suppress(OSError):  # the failure itself is reported all the same
            self._spec.folder.mkdir(parents=True, exist_ok=True)
            (self._spec.folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")


def _wait_for(lock: threading.Lock) -> None:
    if lock.acquire(timeout=SUBMIT_WAIT_S):
        lock.release()


def is_last(report: Report) -> bool:
    """Whether no step can come after the one that this report is of."""
    return report.failure is not None or (report.progress is not None and report.progress.is_final)

"""Where jobs go on: validated, admitted to the free slots, listened to; each at the moment at which it is due."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from raysweep.server import happenings as on
from raysweep.server.book import Book
from raysweep.server.desk import Naming, apply
from raysweep.server.engine import Data, Engine
from raysweep.server.faults import Faults
from raysweep.server.records import Job, JobError, Plan, Status
from raysweep.server.shelf import Shelf


@dataclass(frozen=True)
class Waits:
    """How long a job waits, at least, and how many may run."""

    running: int
    validation_s: float = 0.0
    queue_s: float = 0.0


class Workshop:
    """Brings the jobs of a book forward by an engine."""

    def __init__(
        self, book: Book, shelf: Shelf, engine: Engine, *, naming: Naming, waits: Waits, faults: Callable[[], Faults]
    ) -> None:
        self._book = book
        self._shelf = shelf
        self._engine = engine
        self._naming = naming
        self._waits = waits
        self._faults = faults

    def tick(self, now_s: float) -> None:
        """Bring every job up to this moment: a slot is taken again at the moment at which it became free."""
        while True:
            moment_s = min(now_s, self._next_moment_s(now_s))
            self._validate(moment_s)
            self._listen(moment_s)
            self._admit(moment_s)
            if moment_s >= now_s:
                return

    def go_on(self, now_s: float) -> None:
        """Take up the jobs that ran when the server died; a job that cannot go on fails with `server_error`."""
        for job in self._book.among(Status.RUNNING, Status.PAUSING):
            data = self._data(job, now_s)
            if isinstance(data, JobError):
                error = JobError("server_error", f"The server was restarted and the job is lost: {data.message}")
                self.happen(job, on.Broke(error), now_s)
            else:
                self._engine.begin(job, data)

    def happen(self, job: Job, what: on.Happening, now_s: float) -> Job:
        """Let it happen to the job. Raises NotNow where the job's state forbids it."""
        return self._book.keep(apply(job, what, now_s, self._naming))

    def finish_now(self, job: Job, now_s: float) -> Job:
        """Let a running job come to its end before anything else happens to it, where its engine knows that end."""
        ends_at_s = self._engine.ends_at_s(job) if job.status is Status.RUNNING else None
        if ends_at_s is not None:
            for timed in self._engine.reports(job, ends_at_s):
                job = self.happen(job, timed.report, now_s)
        return job

    def _next_moment_s(self, now_s: float) -> float:
        """The first moment until now at which a validation, a wait or a training ends."""
        moments = [self._valid_at_s(job) for job in self._book.among(Status.VALIDATING)]
        if self._has_free_slot():
            moments += [self._startable_at_s(job) for job in self._book.among(Status.QUEUED)]
        moments += [self._engine.ends_at_s(job) for job in self._book.among(Status.RUNNING)]
        return min((moment for moment in moments if moment is not None), default=now_s)

    def _valid_at_s(self, job: Job) -> float | None:
        is_stuck = self._faults().strikes("stuck_validation", job)
        return None if is_stuck else job.created_at_s + self._waits.validation_s

    def _has_free_slot(self) -> bool:
        return sum(1 for _ in self._book.among(Status.RUNNING, Status.PAUSING)) < self._waits.running

    def _startable_at_s(self, job: Job) -> float | None:
        """When it may start, given a free slot; None for one that is stuck."""
        if job.queued_at_s is None or self._faults().strikes("stuck_queue", job):
            return None
        return job.queued_at_s + self._waits.queue_s

    def _validate(self, moment_s: float) -> None:
        for job in self._book.among(Status.VALIDATING):
            valid_at_s = self._valid_at_s(job)
            if valid_at_s is None or valid_at_s > moment_s:
                continue
            data = self._faults().validation_error(job) or self._data(job, moment_s)
            if isinstance(data, JobError):
                self.happen(job, on.Broke(data), valid_at_s)
            else:
                self.happen(job, on.Validated(self._engine.plan(job.order, data)), valid_at_s)

    def _listen(self, moment_s: float) -> None:
        for job in self._book.among(Status.RUNNING, Status.PAUSING):
            current = job
            for timed in self._engine.reports(job, moment_s):
                struck = self._struck(current, timed.report)
                current = self.happen(current, struck, timed.at_s)
                if isinstance(struck, on.Broke):
                    self._engine.halt(current)
                    break

    def _struck(self, job: Job, report: on.Report) -> on.Report:
        """The report, or what the script makes of it."""
        faults = self._faults()
        if isinstance(report, on.Stepped):
            share = report.step / (job.plan.n_steps if job.plan else 1)
            nan_at, broken_at = faults.midway("nan_loss", job), faults.midway("server_error", job)
            if broken_at is not None and share >= broken_at:
                return on.Broke(JobError("server_error", "The job failed due to an internal error."))
            if nan_at is not None and share >= nan_at:
                return replace(report, values={name: math.nan for name in report.values if name.endswith("_loss")})
        if isinstance(report, on.Finished) and faults.strikes("safety_block", job):
            message = "The job failed due to an unsafe model: it was blocked under our usage policies."
            return on.Broke(JobError("unsafe_model", message))
        if isinstance(report, on.Finished) and job.plan and faults.host.trained_tokens != "training":
            return replace(report, trained_tokens=self._counted(job, job.plan))
        return report

    def _counted(self, job: Job, plan: Plan) -> int:
        """What the script has the host count as trained."""
        if self._faults().host.trained_tokens == "once":
            return plan.tokens_per_epoch
        data = self._data(job, job.created_at_s)
        extra = data.validation.n_tokens if isinstance(data, Data) and data.validation else 0
        return plan.trained_tokens + extra * (plan.n_steps // plan.steps_per_epoch)

    def _admit(self, moment_s: float) -> None:
        for job in sorted(self._book.among(Status.QUEUED), key=lambda one: (one.queued_at_s or 0.0, one.number)):
            if not self._has_free_slot():
                return
            startable_at_s = self._startable_at_s(job)
            if startable_at_s is None or startable_at_s > moment_s:
                continue
            data = self._data(job, moment_s)
            if isinstance(data, JobError):
                self.happen(job, on.Broke(data), moment_s)
            else:
                self._engine.begin(self.happen(job, on.Began(), moment_s), data)

    def _data(self, job: Job, now_s: float) -> Data | JobError:
        train = self._shelf.chats(job.order.training_file, "training_file", now_s)
        base = self._book.base(job.order.model)
        if isinstance(train, JobError) or job.order.validation_file is None:
            return train if isinstance(train, JobError) else Data(train, None, base)
        validation = self._shelf.chats(job.order.validation_file, "validation_file", now_s)
        return validation if isinstance(validation, JobError) else Data(train, validation, base)

"""The host: records, engine and clock together. Every call brings the jobs up to the moment first."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from secrets import randbelow, token_hex

from raysweep.clock import Clock
from raysweep.server import happenings as on
from raysweep.server.desk import Change, Naming, NotNow, apply, opened
from raysweep.server.engine import Data, Engine
from raysweep.server.faults import Faults
from raysweep.server.fields import Fields, parse_object
from raysweep.server.limits import Limits, check_create
from raysweep.server.models import BASES, Found, Models
from raysweep.server.orders import Rules, parse_order
from raysweep.server.records import Checkpoint, Event, Job, JobError, Status, StoredFile
from raysweep.server.refusal import Refusal, bad, no_such_job, no_such_model, too_many
from raysweep.server.shelf import Shelf
from raysweep.server.store import Create, Store


@dataclass(frozen=True)
class HostSettings:
    """How this host is."""

    rules: Rules = field(default_factory=Rules)
    limits: Limits = field(default_factory=Limits)
    bases: Mapping[str, str | None] = field(default_factory=lambda: BASES)
    organization: str = "raysweep"
    validation_s: float = 0.0
    queue_s: float = 0.0
    """The least time that a job waits."""


class Host:
    """One server's state. Not for several threads at once."""

    def __init__(self, store: Store, engine: Engine, clock: Clock, settings: HostSettings) -> None:
        """Goes on with the jobs that were running when the store was last used."""
        self.settings = settings
        self.faults = Faults()
        self.engine = engine
        self.store = store
        self.shelf = Shelf(store, settings.limits)
        self.models = Models(store, settings.bases)
        self._clock = clock
        self._naming = Naming(settings.organization, settings.rules.is_azure)
        self._jobs = {job.id: job for job in store.load(Job)}
        self._number = max((job.number for job in self._jobs.values()), default=0)
        self._creates = {create.key: create for create in store.load(Create)}
        self._events: dict[str, list[Event]] = {}
        for event in store.load(Event):
            self._events.setdefault(event.job_id, []).append(event)
        self._checkpoints: dict[str, dict[str, Checkpoint]] = {}
        for checkpoint in store.load(Checkpoint):
            self._checkpoints.setdefault(checkpoint.job_id, {})[checkpoint.id] = checkpoint
        self._go_on()

    def now_s(self) -> float:
        """Seconds since 1970."""
        return self._clock.now().timestamp()

    def upload(self, filename: str, purpose: str, content: bytes, expires_s: int | None) -> StoredFile:
        """Keep a file. Raises Refusal for one that the host does not take."""
        file = self.shelf.add(filename, purpose, content, now_s=self.now_s(), expires_s=expires_s)
        self._note(file)
        return file

    def create(self, raw: bytes, key: str | None) -> Job:
        """Make a job of a create's body; the same key and body again are the same job.

        Raises Refusal for what the host does not take, or has no room for.
        """
        digest = hashlib.sha256(raw).hexdigest()
        if key is not None and key in self._creates:
            return self._same(self._creates[key], digest)
        self._check_open()
        now_s = self.now_s()
        order = parse_order(Fields(parse_object(raw)), self.settings.rules, seed=randbelow(2**31))
        self.models.check_tunable(order.model)
        self._check_file(order.training_file, "training_file", now_s)
        if order.validation_file:
            self._check_file(order.validation_file, "validation_file", now_s)
        check_create(self.settings.limits, self._jobs.values(), order.model, now_s)
        self._number += 1
        job = Job(f"ftjob-{token_hex(12)}", self._number, now_s, order)
        if key is not None:
            self._creates[key] = Create(key, digest, job.id)
            self.store.save([self._creates[key]])
        return self._keep(opened(job))

    def job(self, job_id: str) -> Job:
        """The job. Raises Refusal where there is none."""
        if job_id not in self._jobs:
            raise no_such_job(job_id)
        return self._jobs[job_id]

    def jobs(self) -> Sequence[Job]:
        """All that the list shows, newest first."""
        shown_until_s = self.now_s() - self.faults.host.listing_lag_s
        return [job for job in reversed(self._jobs.values()) if job.created_at_s <= shown_until_s]

    def events(self, job_id: str) -> Sequence[Event]:
        """The job's log, oldest first. Raises Refusal where there is no such job."""
        return self._events.get(self.job(job_id).id, [])

    def checkpoints(self, job_id: str) -> Sequence[Checkpoint]:
        """The job's, newest first. Raises Refusal where there is no such job."""
        found = self._checkpoints.get(self.job(job_id).id, {}).values()
        return sorted(found, key=lambda one: -one.measures.step)

    def ask(self, job_id: str, what: on.CancelAsked | on.PauseAsked | on.ResumeAsked) -> Job:
        """Cancel, pause or resume. Raises Refusal where the job's state forbids it."""
        job = self.job(job_id)
        if isinstance(what, on.CancelAsked) and self.faults.strikes("finishes_before_cancel", job):
            job = self._finish_now(job)
        try:
            change = apply(job, what, self.now_s(), self._naming)
        except NotNow as error:
            status, code = (409, "conflict") if self.settings.rules.is_azure else (400, "invalid_job_state")
            raise Refusal(status, str(error), code=code) from error
        if change.job.status is not job.status:
            if isinstance(what, on.CancelAsked | on.PauseAsked) and job.status.holds_slot:
                self.engine.halt(change.job)
            self._keep(change)
        self.tick()
        return self.job(job_id)

    def delete(self, job_id: str) -> None:
        """Forget a job that is final. Raises Refusal for others."""
        if not self.job(job_id).status.is_final:
            raise Refusal(409, f"Only a job that has ended can be deleted: {job_id}", code="conflict")
        self.store.drop(Job, job_id)
        del self._jobs[job_id]

    def find_model(self, name: str) -> Found:
        """A model that answers. Raises Refusal where there is none, or not yet."""
        found = self.models.find(name)
        if found.tuned is not None:
            job = self._jobs.get(found.tuned.job_id)
            if job is not None and self.now_s() < found.tuned.created_at_s + self.faults.missing_s(job):
                raise no_such_model(name)
        return found

    def answering_model(self, name: str) -> Found:
        """The model that a chat of this name is answered by. Raises Refusal where there is none."""
        return self.find_model(name)

    def delete_model(self, name: str) -> None:
        """Forget a tuned model. Raises Refusal where it cannot be."""
        self.models.delete(name)

    def check_credit(self) -> None:
        """Raises Refusal where there is none left."""
        if self.faults.host.out_of_credit:
            message = "You exceeded your current quota, please check your plan and billing details."
            raise too_many(message, type="insufficient_quota", code="insufficient_quota")

    def tick(self) -> None:
        """Bring every job up to this moment, one slot that became free after the other."""
        now_s = self.now_s()
        while True:
            moment_s = min(now_s, self._next_moment_s(now_s))
            self._validate(moment_s)
            self._listen(moment_s)
            self._admit(moment_s)
            if moment_s >= now_s:
                return

    def close(self) -> None:
        """Stop the engine and let go of the store."""
        self.engine.close()
        self.store.close()

    def _go_on(self) -> None:
        for file in self.shelf.all(self.now_s()):
            self._note(file)
        for job in list(self._jobs.values()):
            if not job.status.holds_slot:
                continue
            data = self._data(job, self.now_s())
            if isinstance(data, JobError):
                error = JobError("server_error", f"The server was restarted and the job is lost: {data.message}")
                self._keep(apply(job, on.Broke(error), self.now_s(), self._naming))
            else:
                self.engine.begin(job, data)

    def _note(self, file: StoredFile) -> None:
        if file.purpose == "fine-tune":
            chats = self.shelf.chats(file.id, "validation_file", file.created_at_s)
            if not isinstance(chats, JobError):
                self.engine.note(chats)

    def _next_moment_s(self, now_s: float) -> float:
        """The first moment until now at which a validation or a training ends."""
        ends = [self._ready_at_s(job) for job in self._jobs.values() if job.status is Status.VALIDATING]
        ends += [self._startable_at_s(job) for job in self._jobs.values() if job.status is Status.QUEUED]
        ends += [self.engine.ends_at_s(job) for job in self._jobs.values() if job.status is Status.RUNNING]
        return min((end for end in ends if end is not None), default=now_s)

    def _ready_at_s(self, job: Job) -> float | None:
        stuck = self.faults.strikes("stuck_validation", job)
        return None if stuck else job.created_at_s + self.settings.validation_s

    def _startable_at_s(self, job: Job) -> float | None:
        is_full = sum(one.status.holds_slot for one in self._jobs.values()) >= self.settings.limits.running
        if is_full or job.queued_at_s is None or self.faults.strikes("stuck_queue", job):
            return None
        return job.queued_at_s + self.settings.queue_s

    def _validate(self, moment_s: float) -> None:
        for job in [one for one in self._jobs.values() if one.status is Status.VALIDATING]:
            ready_at_s = self._ready_at_s(job)
            if ready_at_s is None or ready_at_s > moment_s:
                continue
            data = self.faults.validation_error(job) or self._data(job, moment_s)
            if isinstance(data, JobError):
                self._keep(apply(job, on.Broke(data), ready_at_s, self._naming))
                continue
            plan = self.engine.plan(job.order, data)
            self._keep(apply(job, on.Validated(plan), ready_at_s, self._naming))

    def _listen(self, moment_s: float) -> None:
        for job in [one for one in self._jobs.values() if one.status.holds_slot]:
            for timed in self.engine.reports(job, moment_s):
                current = self._jobs[job.id]
                struck = self._struck(current, timed.report)
                self._keep(apply(current, struck, timed.at_s, self._naming))
                if isinstance(struck, on.Broke) and not isinstance(timed.report, on.Broke):
                    self.engine.halt(current)

    def _struck(self, job: Job, report: on.Report) -> on.Report:
        """The report, or what the script makes of it."""
        n_steps = job.plan.n_steps if job.plan else 1
        if isinstance(report, on.Stepped):
            share = report.step / n_steps
            nan_at, broken_at = self.faults.midway("nan_loss", job), self.faults.midway("server_error", job)
            if broken_at is not None and share >= broken_at:
                return on.Broke(JobError("server_error", "The job failed due to an internal error."))
            if nan_at is not None and share >= nan_at:
                return replace(report, values={name: math.nan for name in report.values if name.endswith("_loss")})
        if isinstance(report, on.Finished) and self.faults.strikes("safety_block", job):
            message = "The job failed due to an unsafe model: it was blocked under our usage policies."
            return on.Broke(JobError("unsafe_model", message))
        return report

    def _admit(self, moment_s: float) -> None:
        waiting = [job for job in self._jobs.values() if job.status is Status.QUEUED]
        for job in sorted(waiting, key=lambda one: (one.queued_at_s or 0.0, one.number)):
            startable_at_s = self._startable_at_s(job)
            if startable_at_s is None or startable_at_s > moment_s:
                continue
            data = self._data(job, moment_s)
            if isinstance(data, JobError):
                self._keep(apply(job, on.Broke(data), moment_s, self._naming))
                continue
            began = self._keep(apply(job, on.Began(), moment_s, self._naming))
            self.engine.begin(began, data)

    def _finish_now(self, job: Job) -> Job:
        """Let a running job come to its end before anything else happens to it, where its engine knows that end."""
        ends_at_s = self.engine.ends_at_s(job) if job.status is Status.RUNNING else None
        if ends_at_s is None:
            return job
        for timed in self.engine.reports(job, ends_at_s):
            self._keep(apply(self._jobs[job.id], timed.report, self.now_s(), self._naming))
        return self._jobs[job.id]

    def _keep(self, change: Change) -> Job:
        """Write what has changed, all or nothing."""
        job = change.job
        files: Iterable[StoredFile] = ()
        log = self._events.setdefault(job.id, [])
        log.extend(change.events)
        if job.status is Status.SUCCEEDED and job.result_file is None:
            results = self.shelf.add_results(log, is_azure=self.settings.rules.is_azure, now_s=self.now_s())
            job, files = replace(job, result_file=results.id), (results,)
        self.store.save([job, *change.events, *change.checkpoints, *change.models, *files])
        self._jobs[job.id] = job
        kept = self._checkpoints.setdefault(job.id, {})
        kept.update({one.id: one for one in change.checkpoints})
        self.models.add(change.models)
        return job

    def _data(self, job: Job, now_s: float) -> Data | JobError:
        train = self.shelf.chats(job.order.training_file, "training_file", now_s)
        if isinstance(train, JobError):
            return train
        if job.order.validation_file is None:
            return Data(train, None)
        validation = self.shelf.chats(job.order.validation_file, "validation_file", now_s)
        return validation if isinstance(validation, JobError) else Data(train, validation)

    def _same(self, create: Create, digest: str) -> Job:
        if create.digest != digest:
            message = f"The idempotency key '{create.key}' was used for another request."
            raise Refusal(409, message, code="idempotency_key_in_use", headers={"x-should-retry": "false"})
        return self.job(create.job_id)

    def _check_open(self) -> None:
        self.check_credit()
        if not self.faults.host.training_available:
            raise Refusal(
                403,
                "OpenAI is winding down the fine-tuning platform and your organization is no longer able to create "
                "new fine-tuning training jobs.",
                code="training_not_available",
            )

    def _check_file(self, file_id: str, param: str, now_s: float) -> None:
        try:
            file = self.shelf.get(file_id, now_s)
        except Refusal as refusal:
            raise bad(f"invalid {param}: {file_id}", param=param, code="file_not_found") from refusal
        if file.purpose != "fine-tune":
            raise bad(f"File '{file_id}' has the purpose {file.purpose}, not fine-tune.", param=param)
        if now_s < file.created_at_s + self.faults.host.file_processing_s:
            raise bad(
                f"File '{file_id}' is still being processed and is not ready to be used for fine-tuning. "
                "Please try again later.",
                param=param,
                code=None,
            )

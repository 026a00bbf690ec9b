"""The host's jobs with their logs and checkpoints: in memory for reading, on disk for whoever comes after a kill."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from secrets import token_hex

from raysweep.server.desk import Change
from raysweep.server.models import Models
from raysweep.server.records import Checkpoint, Event, Job, Order, Status, StoredFile, TunedModel
from raysweep.server.refusal import Refusal, no_such_job
from raysweep.server.shelf import Shelf
from raysweep.server.store import Create, Store


class Book:
    """All jobs, by id."""

    def __init__(self, store: Store, shelf: Shelf, models: Models, *, is_azure: bool) -> None:
        self._store = store
        self._shelf = shelf
        self._models = models
        self._is_azure = is_azure
        self._jobs = {job.id: job for job in store.load(Job)}
        self.most = len(self._jobs)
        """The most records that there were at any time since the start."""
        self._number = max((job.number for job in self._jobs.values()), default=0)
        self._creates = {create.key: create for create in store.load(Create)}
        self._events: dict[str, list[Event]] = {}
        for event in store.load(Event):
            self._events.setdefault(event.job_id, []).append(event)
        self._checkpoints: dict[str, dict[str, Checkpoint]] = {}
        for checkpoint in store.load(Checkpoint):
            self._checkpoints.setdefault(checkpoint.job_id, {})[checkpoint.id] = checkpoint

    def get(self, job_id: str) -> Job:
        """The job. Raises Refusal where there is none."""
        if job_id not in self._jobs:
            raise no_such_job(job_id)
        return self._jobs[job_id]

    def find(self, job_id: str) -> Job | None:
        """The job, if it was not deleted."""
        return self._jobs.get(job_id)

    def all(self) -> Sequence[Job]:
        """Oldest first."""
        return list(self._jobs.values())

    def among(self, *statuses: Status) -> Iterator[Job]:
        """Those that stand so now, oldest first."""
        return iter([job for job in self._jobs.values() if job.status in statuses])

    def base(self, name: str) -> TunedModel | None:
        """The tuned model that a job goes on from; None for a base model, and where it was deleted since."""
        return self._models.tuned_by_name(name)

    def events(self, job_id: str) -> Sequence[Event]:
        """The job's log, oldest first. Raises Refusal where there is no such job."""
        return self._events.get(self.get(job_id).id, [])

    def checkpoints(self, job_id: str) -> Sequence[Checkpoint]:
        """The job's, newest first. Raises Refusal where there is no such job."""
        found = self._checkpoints.get(self.get(job_id).id, {}).values()
        return sorted(found, key=lambda one: -one.measures.step)

    def made_by(self, key: str, digest: str) -> Job | None:
        """The job that a create with this idempotency key made. Raises Refusal where it had another body."""
        create = self._creates.get(key)
        if create is None:
            return None
        if create.digest != digest:
            message = f"The idempotency key '{key}' was used for another request."
            raise Refusal(409, message, code="idempotency_key_in_use", headers={"x-should-retry": "false"})
        return self.get(create.job_id)

    def new(self, order: Order, now_s: float) -> Job:
        """A job that is not kept yet."""
        self._number += 1
        return Job(f"ftjob-{token_hex(12)}", self._number, now_s, order)

    def keep(self, change: Change, create: Create | None = None) -> Job:
        """Write all that has changed, or nothing; a job that has succeeded gets its result file."""
        job = change.job
        files: Iterable[StoredFile] = ()
        log = [*self._events.get(job.id, ()), *change.events]
        if job.status is Status.SUCCEEDED and job.result_file is None:
            at_s = change.events[-1].created_at_s
            results = self._shelf.add_results(log, is_azure=self._is_azure, now_s=at_s)
            job, files = replace(job, result_file=results.id), (results,)
        created = () if create is None else (create,)
        self._store.save([job, *change.events, *change.checkpoints, *change.models, *files, *created])
        self._creates.update({one.key: one for one in created})
        self._jobs[job.id] = job
        self.most = max(self.most, len(self._jobs))
        self._events.setdefault(job.id, []).extend(change.events)
        self._checkpoints.setdefault(job.id, {}).update({one.id: one for one in change.checkpoints})
        self._models.add(change.models)
        return job

    def delete(self, job_id: str) -> None:
        """Forget a job that is final. Raises Refusal for others."""
        if not self.get(job_id).status.is_final:
            raise Refusal(409, f"Only a job that has ended can be deleted: {job_id}", code="conflict")
        self._store.drop(Job, job_id)
        del self._jobs[job_id]

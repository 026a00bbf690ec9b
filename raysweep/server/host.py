"""The host as its clients meet it: files, jobs, models, deployments; each call sees the jobs as they are by then."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import randbelow

from raysweep.clock import Clock
from raysweep.server import happenings as on
from raysweep.server.book import Book
from raysweep.server.deployments import Deployments
from raysweep.server.desk import Naming, NotNow, opened
from raysweep.server.engine import Engine
from raysweep.server.faults import Faults
from raysweep.server.fields import Fields, parse_object
from raysweep.server.limits import Limits, check_create
from raysweep.server.models import BASES, Found, Models
from raysweep.server.orders import Rules, parse_order
from raysweep.server.records import Job, JobError, StoredFile
from raysweep.server.refusal import Refusal, bad, no_such_model, too_many
from raysweep.server.shelf import Shelf
from raysweep.server.store import Create, Store
from raysweep.server.workshop import Waits, Workshop


@dataclass(frozen=True)
class HostSettings:
    """How this host is."""

    rules: Rules = field(default_factory=Rules)
    limits: Limits = field(default_factory=Limits)
    bases: Sequence[str] = BASES
    shutdown_date: str | None = None
    """On which all bases, and what was made of them, are shut down; a host that closes says so of its models."""
    organization: str = "raysweep"
    validation_s: float = 0.0
    queue_s: float = 0.0
    """The least time that a job waits."""
    deploy_s: float = 0.0
    """From an Azure deployment's order to its being there."""


class Host:
    """One server's state. Not for several threads at once."""

    def __init__(self, store: Store, engine: Engine, clock: Clock, settings: HostSettings, faults: Faults) -> None:
        """Goes on with the jobs that were running when the store was last used."""
        self.settings = settings
        self.faults = faults
        self.engine = engine
        self.store = store
        self.clock = clock
        is_azure = settings.rules.is_azure
        self.shelf = Shelf(store, settings.limits)
        self.models = Models(store, settings.bases)
        self.deployments = Deployments(store, self.models, settings.limits.deployments, settings.deploy_s)
        self.book = Book(store, self.shelf, self.models, is_azure=is_azure)
        self._workshop = Workshop(
            self.book,
            self.shelf,
            engine,
            naming=Naming(settings.organization, is_azure),
            waits=Waits(settings.limits.running, settings.validation_s, settings.queue_s),
            faults=lambda: self.faults,
        )
        for file in self.shelf.all(self.now_s()):
            self._note(file)
        self._workshop.go_on(self.now_s())

    def now_s(self) -> float:
        """Seconds since 1970."""
        return self.clock.now().timestamp()

    def tick(self) -> None:
        """Bring every job up to this moment."""
        self._workshop.tick(self.now_s())

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
        former = self.book.made_by(key, digest) if key else None
        if former is not None:
            return former
        self._check_open()
        now_s = self.now_s()
        order = parse_order(Fields(parse_object(raw)), self.settings.rules, seed=randbelow(2**31))
        self.models.check_tunable(order.model)
        self._check_file(order.training_file, "training_file", now_s)
        if order.validation_file:
            self._check_file(order.validation_file, "validation_file", now_s)
        check_create(self.settings.limits, self.book.all(), order.model, now_s)
        job = self.book.new(order, now_s)
        return self.book.keep(opened(job), Create(key, digest, job.id) if key else None)

    def jobs(self) -> Sequence[Job]:
        """All that the list shows, newest first: a host may be behind with it."""
        shown_until_s = self.now_s() - self.faults.host.listing_lag_s
        return [job for job in reversed(self.book.all()) if job.created_at_s <= shown_until_s]

    def ask(self, job_id: str, what: on.CancelAsked | on.PauseAsked | on.ResumeAsked) -> Job:
        """Cancel, pause or resume. Raises Refusal where the job's state forbids it."""
        job = self.book.get(job_id)
        if isinstance(what, on.CancelAsked) and self.faults.strikes("finishes_before_cancel", job):
            job = self._workshop.finish_now(job, self.now_s())
        try:
            asked = self._workshop.happen(job, what, self.now_s())
        except NotNow as error:
            status, code = (409, "conflict") if self.settings.rules.is_azure else (400, "invalid_job_state")
            raise Refusal(status, str(error), code=code) from error
        if job.status.holds_slot and asked.status is not job.status:
            self.engine.halt(asked)
        self.tick()
        return self.book.get(job_id)

    def find_model(self, name: str) -> Found:
        """A model. Raises Refusal where there is none, or not yet."""
        found = self.models.find(name)
        job = self.book.find(found.tuned.job_id) if found.tuned else None
        if found.tuned and job and self.now_s() < found.tuned.created_at_s + self.faults.missing_s(job):
            raise no_such_model(name)
        return found

    def answering_model(self, name: str) -> Found:
        """What answers a chat of this name: a model, on Azure a deployment. Raises Refusal where there is none."""
        if not self.settings.rules.is_azure:
            return self.find_model(name)
        return self.find_model(self.deployments.answering(name, self.now_s()))

    def delete_model(self, name: str) -> None:
        """Forget a tuned model. Raises Refusal for others, and for one that is deployed."""
        self.deployments.check_free(name)
        self.models.delete(name)

    def check_credit(self) -> None:
        """Raises Refusal where there is none left."""
        if self.faults.host.out_of_credit:
            message = "You exceeded your current quota, please check your plan and billing details."
            raise too_many(message, type="insufficient_quota", code="insufficient_quota")

    def close(self) -> None:
        """Stop the engine and let go of the store."""
        self.engine.close()
        self.store.close()

    def _note(self, file: StoredFile) -> None:
        if file.purpose == "fine-tune":
            chats = self.shelf.chats(file.id, "validation_file", file.created_at_s)
            if not isinstance(chats, JobError):
                self.engine.note(chats)

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

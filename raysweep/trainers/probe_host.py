"""What a probe makes at a host: all of it is known before it is made, so that all of it can be taken back."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from raysweep.dimensions import ParamValue
from raysweep.errors import RaysweepError
from raysweep.jobs import key_of
from raysweep.trainers.dialects import Dialect
from raysweep.trainers.gate_calls import Calls
from raysweep.trainers.gate_client import WireClient
from raysweep.trainers.host_errors import HostError, No
from raysweep.trainers.hosted import HostedJob, JobRequest

_LOG = logging.getLogger(__name__)

TURN_S, LONGEST_TURN_S = 5.0, 600.0
"""Between two tries at a create that has to wait for its turn, and how long in all."""
LOST_S = 60.0
"""How long a job is looked for whose create's answer was lost, where the host's lag is not known to be longer."""
LOOK_S = 2.0
CLEAN_S = 180.0
"""The longest that taking things back may last; what is still there then is told."""
FINAL_S = 60.0
_WAITS = frozenset({No.FILE_PENDING, No.ACTIVE, No.RATE})
"""After which no job was made, and the same create may be let through a little later."""


@dataclass(frozen=True)
class Order:
    """What a probe's jobs are made of."""

    probe_id: str
    model: str
    params: Mapping[str, ParamValue]
    training: bytes = field(repr=False)
    validation: bytes = field(repr=False)

    def key(self, number: int) -> str:
        """Names a job; it carries it as its metadata and its suffix."""
        return key_of(self.probe_id, number, 1)

    def name(self, what: str) -> str:
        """Of a file; no other probe's is called so."""
        return f"raysweep-probe-{self.probe_id}-{what}.jsonl"


@dataclass(frozen=True)
class Made:
    """A job that was made."""

    job: HostedJob
    at_s: float
    """When the create was answered."""
    was_lost: bool
    """Whether the answer never came, and the job was found by its key."""


class ProbeHost:
    """Makes files and jobs, and takes them back. Not for two threads."""

    def __init__(self, order: Order, client: WireClient, calls: Calls, dialect: Dialect) -> None:
        """Asks nothing yet."""
        self.order = order
        self.client = client
        self.calls = calls
        self.dialect = dialect
        self.clock = calls.clock
        self._ids: dict[str, str] = {}
        """By key; empty for a job whose create is not answered yet."""
        self._files: dict[str, str] = {}

    def make(self, number: int) -> Made:
        """The job of this number, once and no more. Raises HostError for a no, RaysweepError where it was lost."""
        request = self._request(number)
        until_s = self.clock.monotonic_s() + LONGEST_TURN_S
        self._ids[request.key] = ""
        while True:
            try:
                job, was_lost = self.client.create(request), False
            except HostError as error:
                if error.no in _WAITS and self.clock.monotonic_s() < until_s:
                    self.clock.sleep_s(TURN_S if error.retry_after_s is None else max(TURN_S, error.retry_after_s))
                    continue
                if not error.meaning.is_ambiguous:
                    del self._ids[request.key]
                    raise
                job, was_lost = self._found(request.key, error), True
            self._ids[request.key] = job.id
            return Made(job, self.clock.monotonic_s(), was_lost)

    def look(self, job_id: str) -> HostedJob:
        """A job as it is now."""
        return self.calls.again(lambda: self.client.job(job_id))

    def cancel(self, job_id: str) -> HostedJob:
        """Stop a job; what has become of it."""
        try:
            return self.calls.again(lambda: self.client.cancel(job_id), paced=False)
        except HostError as error:
            if error.no not in (No.CONFLICT, No.PARAMS):
                raise
            return self.look(job_id)

    def clean(self) -> list[str]:
        """Cancel what is alive and delete the rest, as far as the host lets go of it; what it keeps, in words."""
        left = _Left(self.clock.monotonic_s, self.clock.monotonic_s() + CLEAN_S)
        for key in [key for key, job_id in self._ids.items() if not job_id]:
            left.attempt(f"a job with the suffix {key}, should there be one", partial(self._find_lost, key))
        for job_id in filter(None, self._ids.values()):
            left.attempt(f"job {job_id}", partial(self._clean_job, job_id, left))
        if self._files:
            left.attempt(f"files {', '.join(self._files)}", self._delete_files)
        return left.words

    def _request(self, number: int) -> JobRequest:
        key = self.order.key(number)
        training = self._file("train", self.order.training)
        validation = self._file("validation", self.order.validation)
        return JobRequest(
            self.order.probe_id, key, self.order.model, training, validation, key, number, self.order.params
        )

    def _file(self, what: str, content: bytes) -> str:
        name = self.order.name(what)
        if not self._files.get(name):
            self._files[name] = ""
            self._files[name] = self.calls.again(lambda: self.client.upload(name, content))
        return self._files[name]

    def _found(self, key: str, error: HostError) -> HostedJob:
        """The job of a create whose answer was lost. Raises RaysweepError where none turns up: no second is made."""
        _LOG.warning("%s; looking whether it was made all the same", error)
        found = self._listed(key)
        if found is None:
            raise RaysweepError(f"job {key}: its create was lost ({error.words or error.no}), and none is listed")
        return found

    def _listed(self, key: str) -> HostedJob | None:
        until_s = self.clock.monotonic_s() + max(LOST_S, self.dialect.lag_s)
        while True:
            found = [job for job in self.calls.again(self.client.jobs) if job.key == key]
            if found or self.clock.monotonic_s() > until_s:
                return found[0] if found else None
            self.clock.sleep_s(LOOK_S)

    def _find_lost(self, key: str) -> None:
        found = self._listed(key)
        if found is None:
            raise RaysweepError("the host lists none; look at its own pages, and cancel it there")
        self._ids[key] = found.id

    def _clean_job(self, job_id: str, left: "_Left") -> None:
        job = self.look(job_id)
        if not job.is_final:
            job = self.cancel(job_id)
        until_s = self.clock.monotonic_s() + FINAL_S
        while not job.is_final and self.clock.monotonic_s() < until_s:
            self.clock.sleep_s(LOOK_S)
            job = self.look(job_id)
        if not job.is_final:
            raise RaysweepError(f"it is still {job.status}")
        for kind, name in (("model", job.model), *(("file", file) for file in job.result_files)):
            if name:
                left.attempt(f"{kind} {name}", partial(self._delete, kind, name))
        if self.dialect.deletes_jobs:
            self._delete("job", job_id)

    def _delete_files(self) -> None:
        """By name: an upload whose answer was lost may have left one too."""
        for file in self.calls.again(self.client.files):
            if file.name in self._files:
                self._delete("file", file.id)

    def _delete(self, kind: str, name: str) -> None:
        try:
            self.calls.again(lambda: self.client.delete(kind, name), paced=False)
        except HostError as error:
            if error.no not in (No.NOT_FOUND, No.MODEL, No.FILE_GONE):
                raise


class _Left:
    """What could not be taken back."""

    def __init__(self, now_s: Callable[[], float], until_s: float) -> None:
        self._now_s = now_s
        self._until_s = until_s
        self.words: list[str] = []

    def attempt(self, what: str, take_back: Callable[[], None]) -> None:
        """Do it, and go on whatever comes of it."""
        if self._now_s() > self._until_s:
            self.words.append(f"{what}: no time was left for it")
            return
        try:
            take_back()
        except RaysweepError as error:
            self.words.append(f"{what}: {error}")

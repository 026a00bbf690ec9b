"""Scripted misfortune: what the host does wrong, to which calls and to which jobs; read from a YAML or JSON file.

calls:  [{call: "POST /fine_tuning/jobs", nth: [2], kind: lost_reply}]
jobs:   [{nth: [3], kind: stuck_queue}]
host:   {listing_lag_s: 30, metadata_filter: ignored}
"""

import fnmatch
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raysweep.errors import ConfigError
from raysweep.server.records import Job, JobError


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CallRule(_Section):
    """Which calls; counted from 1 over all that fit `call`, over restarts of the server too."""

    call: str
    """Method and path below the wire's root, with * for any part: `GET /fine_tuning/jobs/*`."""
    nth: tuple[int, ...] = ()
    """Which of them; none named: all."""

    def matches(self, method: str, path: str) -> bool:
        """Whether it is about such a call at all."""
        return fnmatch.fnmatchcase(f"{method} {path}", self.call)


class LostReply(CallRule):
    """The call is carried out, then the connection is dropped without a reply: a create makes a job unheard of."""

    kind: Literal["lost_reply"]


class LostCall(CallRule):
    """The connection is dropped before anything is done."""

    kind: Literal["lost_call"]


class Slow(CallRule):
    """Carried out at once, answered late."""

    kind: Literal["slow"]
    slow_s: Annotated[float, Field(ge=0)]


class Wrong(CallRule):
    """Not carried out; answered with an error."""

    kind: Literal["answer"]
    status: Annotated[int, Field(ge=400, le=599)]
    code: str | None = None
    type: str = "server_error"
    message: str = "The server had an error while processing your request."
    param: str | None = None
    retry_after_s: int | None = None
    should_retry: bool | None = None
    """Sent as x-should-retry, which the SDK obeys."""


class NotJson(CallRule):
    """Not carried out; answered with a page, as proxies do."""

    kind: Literal["not_json"]
    status: int = 200
    body: str = "<html><body>Bad gateway</body></html>"


class JobRule(_Section):
    """Which jobs; counted from 1 as they are made."""

    nth: tuple[int, ...] = ()
    """None named: all."""
    where: Mapping[str, str] = {}
    """Pairs that the job's metadata must have, with * in a value for any text."""

    def matches(self, job: Job) -> bool:
        """Whether it strikes this job."""
        said = job.order.metadata or {}
        fits = all(fnmatch.fnmatchcase(said.get(name, ""), value) for name, value in self.where.items())
        return fits and (not self.nth or job.number in self.nth)


class Stuck(JobRule):
    """Stays where it is until it is cancelled."""

    kind: Literal["stuck_validation", "stuck_queue"]


class ValidationFailure(JobRule):
    """Fails after an untroubled create, as for files that the host does not like."""

    kind: Literal["validation_failure"]
    code: str = "invalid_training_file"
    message: str = "Invalid file format. Line 1: the example was blocked by our moderation system."
    param: str | None = "training_file"


class Midway(JobRule):
    """From this share of its steps on: its losses are no numbers any more, or it breaks."""

    kind: Literal["nan_loss", "server_error"]
    at: Annotated[float, Field(ge=0, le=1)] = 0.5


class AtTheEnd(JobRule):
    """Trains to its end, and is refused then; or ends the moment before a cancel takes effect."""

    kind: Literal["safety_block", "finishes_before_cancel"]


class ModelMissing(JobRule):
    """Its model is not found for so long after its success."""

    kind: Literal["model_missing"]
    missing_s: Annotated[float, Field(ge=0)]


class UnknownStatus(JobRule):
    """A word that no client knows stands for a status."""

    kind: Literal["unknown_status"]
    instead_of: str = "running"
    status: str = "preparing"


class TornEvents(JobRule):
    """Its events are listed twice, with gaps, or out of order."""

    kind: Literal["events"]
    how: Literal["duplicated", "missing", "shuffled"]


CallFault = Annotated[LostReply | LostCall | Slow | Wrong | NotJson, Field(discriminator="kind")]
JobFault = Annotated[
    Stuck | ValidationFailure | Midway | AtTheEnd | ModelMissing | UnknownStatus | TornEvents,
    Field(discriminator="kind"),
]


class HostFaults(_Section):
    """How the host is, for all calls and jobs."""

    listing_lag_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """How long a new job is missing from the list."""
    metadata_filter: Literal["honoured", "ignored", "empty"] = "honoured"
    file_status: Literal["processed", "null", "pending"] = "processed"
    file_processing_s: Annotated[float, Field(ge=0)] = 0.0
    """How long a new file is not ready."""
    events_order: Literal["newest_first", "oldest_first"] | None = None
    """None: as the dialect has it."""
    has_more: bool = True
    """False: lists do not say whether there is more."""
    result_encoding: Literal["base64", "plain"] | None = None
    """None: as the dialect has it."""
    metric_events: bool = True
    """False: no events with metrics, only checkpoints, as Nebius had it in 2025."""
    trained_tokens: Literal["training", "with_validation", "once"] = "training"
    """What counts as trained: each epoch of the training file, of both files, or the training file once."""
    burst_s: Annotated[float, Field(ge=0)] = 0.0
    """Events are shown only at every so many seconds, several at once."""
    healthy_error: Literal["object", "null", "nulls"] | None = None
    """What a job without error has there: `{}`, null, or an object of nulls. None: as the dialect has it."""
    training_available: bool = True
    """False: creates are answered 403, as by a host that closes down."""
    out_of_credit: bool = False
    """Creates and chats are answered 429 `insufficient_quota`."""


class Faults(_Section):
    """Everything that goes wrong."""

    calls: tuple[CallFault, ...] = ()
    jobs: tuple[JobFault, ...] = ()
    host: HostFaults = HostFaults()

    def validation_error(self, job: Job) -> JobError | None:
        """What the validation of this job is to say."""
        for rule in self.jobs:
            if isinstance(rule, ValidationFailure) and rule.matches(job):
                return JobError(rule.code, rule.message, rule.param)
        return None

    def strikes(self, kind: str, job: Job) -> bool:
        """Whether a fault without settings of its own strikes the job."""
        return any(rule.kind == kind and rule.matches(job) for rule in self.jobs)

    def midway(self, kind: str, job: Job) -> float | None:
        """The share of its steps from which on it strikes."""
        found = [rule.at for rule in self.jobs if isinstance(rule, Midway) and rule.kind == kind and rule.matches(job)]
        return found[0] if found else None

    def missing_s(self, job: Job) -> float:
        """How long after its success the job's model is not found."""
        return max(
            (one.missing_s for one in self.jobs if isinstance(one, ModelMissing) and one.matches(job)), default=0.0
        )

    def status(self, job: Job, word: str) -> str:
        """The word for the job's status."""
        for rule in self.jobs:
            if isinstance(rule, UnknownStatus) and rule.matches(job) and rule.instead_of in (word, job.status):
                return rule.status
        return word

    def torn(self, job: Job) -> Sequence[str]:
        """How its events are torn."""
        return [rule.how for rule in self.jobs if isinstance(rule, TornEvents) and rule.matches(job)]


def load_faults(path: Path) -> Faults:
    """The file's faults. Raises ConfigError with the place of whatever it does not know."""
    try:
        return parse_faults(yaml.safe_load(path.read_text(encoding="utf-8")) or {}, str(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as faults: {error}") from error


def parse_faults(raw: object, source: str) -> Faults:
    """The same of what was read already."""
    try:
        return Faults.model_validate(raw)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        raise ConfigError(f"{source}: {'; '.join(lines)}") from error

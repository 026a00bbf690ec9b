"""What the server keeps: files, jobs, events, checkpoints, models, deployments; all frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Number = int | float
Setting = int | float | str
"""A hyperparameter as it was ordered: a number, or `auto`."""


class Status(StrEnum):
    """Where a job stands; the words are the wire's."""

    VALIDATING = "validating_files"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing can follow."""
        return self in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)

    @property
    def holds_slot(self) -> bool:
        """Whether it counts as running."""
        return self in (Status.RUNNING, Status.PAUSING)


@dataclass(frozen=True)
class StoredFile:
    """An uploaded file, or one that a job has made; the bytes lie beside the records."""

    id: str
    number: int
    """Counts up over all files: the order of the list."""
    filename: str
    purpose: str
    n_bytes: int
    created_at_s: float
    expires_at_s: float | None = None


@dataclass(frozen=True)
class Order:
    """What a client has asked to be tuned."""

    model: str
    training_file: str
    seed: int
    hyperparameters: Mapping[str, Setting]
    """As ordered, `auto` where nothing was said."""
    validation_file: str | None = None
    suffix: str | None = None
    metadata: Mapping[str, str] | None = None
    training_type: str | None = None
    integrations: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True)
class Plan:
    """What validation makes of an order: numbers for every `auto`, and what training will take."""

    hyperparameters: Mapping[str, Number]
    n_examples: int
    steps_per_epoch: int
    n_steps: int
    tokens_per_epoch: int
    labels: tuple[str, ...]
    """The distinct answers of the training file; for a text of many answers, the first of them."""
    has_validation: bool

    @property
    def trained_tokens(self) -> int:
        """Of the whole training: what a host would bill."""
        return self.tokens_per_epoch * self.n_steps // max(1, self.steps_per_epoch)


@dataclass(frozen=True)
class Measures:
    """What was measured at a step; what was not measured there is left out."""

    step: int
    values: Mapping[str, float]
    """By the wire's names: train_loss, valid_loss, full_valid_loss, each with a mean token accuracy."""


@dataclass(frozen=True)
class JobError:
    """Why a job failed."""

    code: str
    message: str
    param: str | None = None


@dataclass(frozen=True)
class Job:
    """One fine-tuning job."""

    id: str
    number: int
    """Counts up over all jobs, from 1."""
    created_at_s: float
    order: Order
    status: Status = Status.VALIDATING
    plan: Plan | None = None
    queued_at_s: float | None = None
    started_at_s: float | None = None
    """When it last began to run."""
    started_step: int = 0
    """The step from which it then went on."""
    step: int = 0
    """The last one that was reported."""
    marks: tuple[Measures, ...] = ()
    """The measures at the end of each epoch."""
    latest: Measures | None = None
    finished_at_s: float | None = None
    error: JobError | None = None
    model: str | None = None
    trained_tokens: int | None = None
    result_file: str | None = None
    n_events: int = 0


@dataclass(frozen=True)
class Event:
    """One line of a job's log."""

    id: str
    job_id: str
    number: int
    """From 1, in the order in which things happened."""
    created_at_s: float
    level: str
    kind: str
    """`message`, `metrics` or `moderation_checks`."""
    message: str
    data: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True)
class TunedModel:
    """A model that a job has left: the final one, or one of an earlier step."""

    name: str
    job_id: str
    base: str
    step: int
    created_at_s: float
    where: str
    """What the engine needs to find it again."""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as a job lists it; its model's name answers chats."""

    id: str
    job_id: str
    number: int
    created_at_s: float
    model: str
    measures: Measures


@dataclass(frozen=True)
class Deployment:
    """An Azure deployment: the name under which a model answers."""

    name: str
    model: str
    sku: str
    capacity: int
    created_at_s: float

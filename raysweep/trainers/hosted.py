"""What crosses the border between a trial and its gate: plain values, and the gate as a Protocol.

Nothing here knows the SDK, so that a trial's process never loads it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from raysweep.dimensions import ParamValue
from raysweep.task import Message

SWEEP_TAG, KEY_TAG = "raysweep_sweep", "raysweep_key"
"""The metadata that a job carries."""


@dataclass(frozen=True)
class JobRequest:
    """A job that a host is asked for."""

    sweep_id: str
    key: str
    model: str
    training_file: str
    validation_file: str
    suffix: str
    seed: int
    params: Mapping[str, ParamValue] = field(default_factory=dict)
    """By the host's own names; what is left out the host chooses."""


@dataclass(frozen=True)
class HostedJob:
    """A job as its host describes it."""

    id: str
    key: str
    """Empty for a job that is not of a sweep."""
    sweep_id: str
    status: str
    """In the host's own word."""
    is_final: bool
    created_at_s: float
    finished_at_s: float | None = None
    model: str | None = None
    """The tuned model's name, once there is one."""
    error_code: str = ""
    error: str = ""
    error_param: str = ""
    """Such as `training_file`."""
    trained_tokens: int | None = None
    n_epochs: int | None = None
    """As the host resolved them; None where it does not say."""
    files: tuple[str, ...] = ()
    """Those that it was given."""
    result_files: tuple[str, ...] = ()

    @property
    def has_succeeded(self) -> bool:
        """Whether it ended with a model."""
        return self.status == "succeeded"

    @property
    def has_failed(self) -> bool:
        """Whether it ended badly by itself."""
        return self.status == "failed"


@dataclass(frozen=True)
class Point:
    """What a host says of one step; None for what it does not."""

    step: int
    total_steps: int | None = None
    train_loss: float | None = None
    train_accuracy: float | None = None
    valid_loss: float | None = None
    """On a sample of the validation file."""
    valid_accuracy: float | None = None
    full_valid_loss: float | None = None
    """On the whole validation file; made at the ends of epochs."""
    full_valid_accuracy: float | None = None


@dataclass(frozen=True)
class Look:
    """What a gate knows of a job."""

    job: HostedJob
    version: int
    """Grows with every change."""
    points: tuple[Point, ...]
    """Those that came since the asker's last look, as they came: repeated, out of order, incomplete."""
    n_points: int
    """How many there are in all."""
    is_read_out: bool = False
    """Whether the job is final and nothing more will come."""


@dataclass(frozen=True)
class HostedModel:
    """A model as its host describes it."""

    name: str
    shutdown_date: str | None = None


@dataclass(frozen=True)
class HostedFile:
    """A file as its host describes it."""

    id: str
    name: str
    status: str | None = None
    expires_at_s: float | None = None


@dataclass(frozen=True)
class Question:
    """One chat completion."""

    messages: tuple[Message, ...]
    max_tokens: int
    is_model_new: bool = True
    """Whether the model may still be being loaded, so that a host which does not know it is asked again."""
    wants_odds: bool = True
    """Whether what else might have been written is of use."""


@dataclass(frozen=True)
class Token:
    """One token of an answer, with what might have stood in its place."""

    text: str
    likeliest: tuple[tuple[str, float], ...]
    """Tokens and the logarithms of their probabilities."""


@dataclass(frozen=True)
class Answer:
    """What a model wrote; no tokens where the host gives no probabilities."""

    text: str
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True)
class Deployment:
    """A model that was given a place to answer from."""

    name: str
    model: str
    is_ready: bool
    failure: str = ""


class Gate(Protocol):
    """The one way to a host and account. Every method may raise HostError; all may be called from any thread."""

    def model(self, name: str) -> HostedModel:
        """A model that the host knows."""
        ...

    def file(self, name: str) -> str | None:
        """The id of a file of this name that can be trained on now; None where there is none."""
        ...

    def upload(self, name: str, content: bytes) -> str:
        """The id of the one file of this name, made if there is none."""
        ...

    def find(self, sweep_id: str, key: str, *, thorough: bool) -> HostedJob | None:
        """The job that carries the key. `thorough`: without trust in the host's filter."""
        ...

    def create(self, request: JobRequest) -> HostedJob | None:
        """The one job of the request's key; None while there is no permit for it: ask again to keep the place."""
        ...

    def admit(self, sweep_id: str) -> None:
        """The sweep may have jobs made, also if it was dismissed before."""
        ...

    def dismiss(self, sweep_id: str | None) -> None:
        """No job is made for the sweep any more, None: for any; returns when no create of its is under way."""
        ...

    def watch(self, job_id: str, *, version: int, n_points: int, timeout_s: float) -> Look:
        """Wait until there is more than the asker knows, or the time is up."""
        ...

    def cancel(self, job_id: str) -> HostedJob | None:
        """Stop a job and say what has become of it; None for one that the host does not know."""
        ...

    def jobs(self, sweep_id: str | None) -> Sequence[HostedJob]:
        """All of a sweep's jobs that the host lists, without trust in its filter; None: everybody's."""
        ...

    def checkpoints(self, job_id: str) -> Sequence[Point]:
        """The points of the checkpoints that were kept."""
        ...

    def result(self, file_id: str) -> bytes:
        """What a result file holds."""
        ...

    def ask(self, model: str, questions: Sequence[Question]) -> Sequence[Answer]:
        """A model's answers, in order; waits for a model that is still being loaded."""
        ...

    def release(self, job_id: str) -> None:
        """Nobody needs the job's record at the host any more."""
        ...

    def discard(self, kind: str, name: str) -> bool:
        """Delete a `job`, `file`, `model` or `deployment`; False where the host does not let go of it."""
        ...

    def deploy(self, name: str, model: str) -> Deployment | None:
        """The one deployment of this name, begun if there is none; None while the host has no place for it."""
        ...

    def deployments(self) -> Sequence[Deployment]:
        """All that the account has; none where models answer by themselves."""
        ...


class GateLink(Protocol):
    """Leads from another process to a gate; picklable."""

    def connect(self) -> Gate:
        """The gate, as seen from this process."""
        ...

"""The seam between a sweep and whatever carries out its fine-tunes: specs in, progress out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from raysweep.dataset import Splits
from raysweep.dimensions import Params, ParamValue
from raysweep.scoring import Prediction
from raysweep.task import Example


class Outcome(StrEnum):
    """How a trial ended."""

    COMPLETED = "completed"
    """Its job ran to its own end; only these can be best."""
    PRUNED = "pruned"
    """Stopped at a rung, because others were better there."""
    FAILED = "failed"
    """Its params were at fault: diverged, collapsed, refused."""
    ERRORED = "errored"
    """The machine or the service was at fault."""
    CANCELLED = "cancelled"
    """Stopped because the sweep ended or was interrupted."""


@dataclass(frozen=True)
class DataRefs:
    """The prepared data, as a trainer wants it."""

    fingerprint: str
    """Of the rows and their split; part of every cache's key."""
    splits: Splits
    """The rows themselves, for trainers that run beside the sweep."""


@dataclass(frozen=True)
class JobSpec:
    """All that a trainer needs to start a job."""

    sweep_id: str
    trial: int
    """From 0."""
    attempt: int
    """From 1."""
    params: Params
    """Complete: sampled, fixed and the trainer's defaults."""
    seed: int
    folder: Path
    """The job's own folder: what it needs to go on, and what it leaves behind."""
    evaluate_at: tuple[float, ...]
    """Epochs at which to evaluate, ascending; the last is the trial's own budget."""
    n_evaluations: int = 0
    """How many of the trial's evaluations are on record already: the job hands out those after them, in order."""

    @property
    def key(self) -> str:
        """Names the attempt at the trainer, for ever."""
        return key_of(self.sweep_id, self.trial, self.attempt)


def key_of(sweep_id: str, trial: int, attempt: int) -> str:
    """The key of an attempt; it travels on the job, wherever that lives."""
    return f"{sweep_id}-{trial:04d}-{attempt}"


@dataclass(frozen=True)
class Evaluation:
    """One measurement on the validation split."""

    epoch: float
    examples: int
    """Training examples seen so far."""
    trained_tokens: int
    """Non-padding training tokens so far."""
    metrics: Mapping[str, float | None]
    """By name, prefixed by the split (`val_f1_weighted`, `train_loss`); None where it cannot be computed."""


@dataclass(frozen=True)
class Progress:
    """What has become of a job since the last look."""

    epoch: float
    trained_tokens: int
    evaluation: Evaluation | None = None
    """At most one new evaluation a look, each exactly once."""
    is_final: bool = False
    """True when the job has ended well; the job then holds a model."""
    model: str | None = None
    """Where the tuned model is, once final: a folder or a name at the host."""
    usd: float | None = None
    """What the job has cost so far; None: nobody says, so its share of what was reserved for it."""


@dataclass(frozen=True)
class ParamDoc:
    """One hyperparameter that a trainer takes."""

    default: ParamValue
    help: str
    low: float | None = None
    """Inclusive, for numbers."""
    high: float | None = None
    """Inclusive, for numbers."""
    values: tuple[ParamValue, ...] = ()
    """All that is allowed, for closed sets."""


@dataclass(frozen=True)
class Capabilities:
    """What a trainer can do; `check` refuses the rest."""

    params: Mapping[str, ParamDoc]
    metrics: frozenset[str]
    """Names it can report while a job runs."""
    evaluates_anywhere: bool
    """Whether it evaluates at any fraction of an epoch, or only at epochs' ends."""
    cpus: float = 1.0
    """Of the cluster, for each job."""
    gpus: float = 0.0
    """Of the cluster, for each job; a cluster without them is refused."""
    gpus_if_any: float = 0.0
    """Taken besides, where the cluster has some."""
    is_paid: bool = False
    """Whether its jobs cost money; a sweep then wants a budget."""
    has_host: bool = False
    """Whether jobs live at a host that lists them, and outlive whoever made them; else they end with their process."""
    listing_lag_s: float = 0.0
    """How long a job that was made may be missing from the host's list."""
    final_metrics: frozenset[str] = frozenset()
    """Names that only a completed job's last evaluation holds: to strive for, but not to stop early by."""
    concurrency: int | None = None
    """How many jobs at once make sense where the settings do not say; None: as many as the cluster has cores."""
    max_concurrency: int | None = None
    """The most that its host takes at once."""
    cannot_predict: str = ""
    """Why its models would not answer on the test split, and the remedy; empty where they do."""
    answers_untuned: bool = False
    """Whether its base models can be asked without a fine-tune: it is a `raysweep.abilities.AnswersUntuned` then."""


@dataclass(frozen=True)
class Estimate:
    """What a job will take, before anything is spent."""

    trained_tokens: int
    usd: float | None
    """At most; None where it costs nothing but the machine's time."""
    scoring_usd: float = 0.0
    """The part of it that only a job that runs to its end takes: its model answers the validation split."""
    final_usd: float = 0.0
    """What scoring its model on the test split would cost besides, at most."""
    duration_s: float | None = None
    """About how long the job takes; None where nobody knows."""
    prices: tuple[str, ...] = ()
    """Where the prices come from, for people, a line each."""
    warnings: tuple[str, ...] = ()
    """What a person should know of the rows before they are trained on, a line each."""


@dataclass(frozen=True)
class JobView:
    """A job as its trainer's host lists it."""

    key: str
    id: str
    is_final: bool
    status: str = field(default="", compare=False)
    """In the host's own word, for people."""
    trained_tokens: int | None = field(default=None, compare=False)
    """What it has charged for, as far as it says."""
    has_succeeded: bool = field(default=False, compare=False)
    """Whether it ended with a model."""
    has_failed: bool = field(default=False, compare=False)
    """Whether it ended badly by itself, and not because somebody cancelled it."""
    is_deployment: bool = field(default=False, compare=False)
    """Whether it is no job but what a job's model answers from, which costs for as long as it is there."""


@dataclass(frozen=True)
class TokenView:
    """One token of a row, for a person to look at."""

    text: str
    is_trained: bool
    """Whether the loss is taken on it; all others are masked."""


class Job(Protocol):
    """One fine-tune being carried out."""

    @property
    def id(self) -> str:
        """The trainer's own name for it."""
        ...

    def advance(self, timeout_s: float) -> Progress:
        """Go on until the next evaluation, the end, or the time-out.

        Raises JobFailed when it ended badly. After `cancel` it returns promptly, with what there is.
        """
        ...

    def cancel(self) -> None:
        """Stop it, from any thread; idempotent, and nothing happens once it is final."""
        ...


class Trainer(Protocol):
    """Makes jobs."""

    def describe(self) -> Capabilities:
        """What it takes and gives; touches nothing outside."""
        ...

    def prepare(self, data: Splits) -> DataRefs:
        """Once a sweep, in the driver: upload or cache the data."""
        ...

    def submit(self, spec: JobSpec, data: DataRefs) -> Job:
        """By `spec.key`: adopt a live job, else go on from `spec.folder`, else create one.

        What the trial has handed out before (`spec.n_evaluations`) is never handed out again, what it had made but
        not handed out is; a job that is done already is handed out as final.
        """
        ...

    def jobs(self, sweep_id: str) -> Iterable[JobView]:
        """All jobs of a sweep that its host lists, final ones too; none where there is no host."""
        ...

    def cancel(self, job_id: str) -> None:
        """Cancel a job at the host, whoever made it; idempotent, nothing for a final or unknown one."""
        ...

    def predict(self, model: str, examples: Sequence[Example]) -> Sequence[Prediction]:
        """One prediction an example, by a model that one of its jobs has made."""
        ...

    def estimate(self, spec: JobSpec, data: DataRefs) -> Estimate:
        """Tokens and money of a job, before it is submitted."""
        ...

    def preview(self, params: Params, examples: Sequence[Example], n: int) -> Sequence[Sequence[TokenView]]:
        """The first n examples, token by token, as these params put them to the model; none where that is not known."""
        ...

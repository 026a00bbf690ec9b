"""What a ledger can say: typed entries, and each as one line of JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime

from raysweep.dimensions import Params, as_param
from raysweep.errors import Fault
from raysweep.jobs import Outcome

SCHEMA_VERSION = 2
"""Of the entries below; written into the first one. 1 had no checksums, sessions or interruptions; it is still read."""


@dataclass(frozen=True)
class SweepStarted:
    """A sweep began; always the first entry."""

    at: datetime
    sweep_id: str
    name: str
    metric: str
    """The objective's."""
    mode: str
    """Whether `max` or `min` of it is better."""
    trials: int
    """How many the sweep may make."""
    data_fingerprint: str
    raysweep_version: str
    schema_version: int = SCHEMA_VERSION
    concurrency: int = 0
    """How many trials at once it began with; 0 before schema version 2."""
    folder: str | None = None
    """The sweep's own, absolute; None before schema version 2."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """A digest of each section of the settings that a sweep's results rest on; empty before schema version 2."""
    metrics: Mapping[str, str] = field(default_factory=dict)
    """What each of the sweep's own metrics means, by name without the split's prefix."""


@dataclass(frozen=True)
class SweepResumed:
    """The sweep goes on in another session."""

    at: datetime
    trials: int
    """How many the sweep may make from now on."""
    raysweep_version: str


@dataclass(frozen=True)
class TrialProposed:
    """The intent to run a trial; on disk before its actor exists."""

    at: datetime
    trial: int
    attempt: int
    key: str
    params: Params
    """Complete: sampled, fixed and the trainer's defaults."""
    sampled: tuple[str, ...]
    """Names of the params that the space gave."""
    reserved_usd: float | None = None


@dataclass(frozen=True)
class JobAccepted:
    """The trainer took the job."""

    at: datetime
    trial: int
    attempt: int
    job_id: str
    host: str
    """The machine that owns it."""


@dataclass(frozen=True)
class Evaluated:
    """One evaluation, exactly once."""

    at: datetime
    trial: int
    attempt: int
    epoch: float
    examples: int
    trained_tokens: int
    metrics: Mapping[str, float | None]


@dataclass(frozen=True)
class TrialInterrupted:
    """Nobody works on the trial any more, though it has not ended: it waits to be taken up again."""

    at: datetime
    trial: int
    attempt: int
    fault: Fault | None
    """Whose it was; None where it was nobody's. Only faults count towards the limit of attempts."""
    reason: str
    is_job_over: bool = True
    """Whether its job is known to be over; else whoever takes the trial up finds it at its host by its key."""

    @property
    def words(self) -> str:
        """Whose fault it was and why, for a person."""
        return f"{self.fault or 'driver'}: {self.reason}"


@dataclass(frozen=True)
class CancelRequested:
    """The driver decided to stop a trial before its end."""

    at: datetime
    trial: int
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class TrialEnded:
    """The trial is over; nothing more is spent on it."""

    at: datetime
    trial: int
    outcome: Outcome
    reason: str
    """Empty for a completed trial."""
    objective: float | None
    """The last evaluation's; None for one that failed or errored, or had none."""
    model: str | None
    trained_tokens: int
    usd: float | None = None


@dataclass(frozen=True)
class FinalScored:
    """A model was scored after the search, on a split that ranked no trial."""

    at: datetime
    name: str
    """`best` or `tfidf`."""
    trial: int | None
    split: str
    metrics: Mapping[str, float | None]


@dataclass(frozen=True)
class SweepEnded:
    """The sweep is over; always the last entry of a session."""

    at: datetime
    reason: str
    signal: str | None = None
    """The signal that ended it, `SIGINT` or `SIGTERM`; None for an end of its own."""


Entry = (
    SweepStarted
    | SweepResumed
    | TrialProposed
    | JobAccepted
    | Evaluated
    | TrialInterrupted
    | CancelRequested
    | TrialEnded
    | FinalScored
    | SweepEnded
)
_KINDS: Mapping[str, type[Entry]] = {
    kind.__name__: kind
    for kind in (
        SweepStarted,
        SweepResumed,
        TrialProposed,
        JobAccepted,
        Evaluated,
        TrialInterrupted,
        CancelRequested,
        TrialEnded,
        FinalScored,
        SweepEnded,
    )
}
_FIELDS: Mapping[type[Entry], frozenset[str]] = {
    kind: frozenset(each.name for each in fields(kind)) for kind in _KINDS.values()
}


def encode(entry: Entry) -> str:
    """The entry as one line of JSON; raises ValueError for a number that is not finite."""
    return json.dumps({"entry": type(entry).__name__, **asdict(entry)}, default=_encode_value, allow_nan=False)


def decode(line: str) -> Entry:
    """The entry on a line; raises ValueError, KeyError or TypeError for anything else."""
    values = _parse(line)
    if not isinstance(values, dict):
        raise TypeError("not an object")
    kind = _KINDS[values.pop("entry")]
    unknown = values.keys() - _FIELDS[kind]
    if unknown:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    values["at"] = datetime.fromisoformat(values["at"])
    if values["at"].tzinfo is None:
        raise ValueError("a time without its zone")
    if "outcome" in values:
        values["outcome"] = Outcome(values["outcome"])
    if values.get("fault") is not None:
        values["fault"] = Fault(values["fault"])
    if "params" in values:
        values["params"] = {name: as_param(value) for name, value in dict(values["params"]).items()}
    if "sampled" in values:
        values["sampled"] = tuple(values["sampled"])
    return kind(**values)


def version_of(line: str) -> tuple[int, str]:
    """The schema version of a ledger with this first line, and the raysweep that wrote it; decodes nothing else.

    Raises ValueError, KeyError or TypeError where no ledger begins so.
    """
    values = _parse(line)
    if not isinstance(values, dict):
        raise TypeError("not an object")
    version = values["schema_version"] if values["entry"] == SweepStarted.__name__ else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError("a ledger begins with SweepStarted and its schema version")
    return version, str(values["raysweep_version"])


def _parse(line: str) -> object:
    try:
        return _DECODER.decode(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _encode_value(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} cannot be written to the ledger")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)

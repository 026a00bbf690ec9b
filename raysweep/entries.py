"""What a ledger can say: typed entries."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from raysweep.dimensions import Params
from raysweep.errors import Fault
from raysweep.jobs import Outcome

DRIVER_DIED = "its driver died"
"""Why a session ended that wrote no end, and why its trials were left."""
LEFT_RUNNING = "its job was left running"
"""Why a trial is interrupted whose sweep was interrupted with `on_interrupt: leave`."""
FINISHED_FIRST = "its job had finished when it was to be cancelled"
"""Why a trial is interrupted whose sweep was interrupted while a finished job's model was still to be scored."""
ALL_ENDED = "all trials have ended"
"""The reason, or its beginning, of a sweep that ended because nothing was left to be tried."""
BEST = "best"
"""The name of the winner's final score."""
FINALIST = "finalist"
"""The name of a final score of a trial that came close to the winner."""
DEFAULT = "default"
"""The name of a final score of the default configuration's trial, where it has not won."""
REPLICA = "replica"
"""The name of a final score of a finalist's replica."""
BUDGET_USED = "the budget is used up"
"""How the reason of a sweep begins that ended because no further job could be paid."""
SCHEMA_VERSION = 4
"""Of the entries below; written into the first one. What is added to them needs a new version: an older raysweep then
says that it is too old, and takes nothing for damage. 1 had no checksums, sessions or interruptions, 2 no money, 3 no
replicas; all are still read."""


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
    earlier: str = ""
    """A digest of the earlier runs that the proposer was told before its first trial; empty where there were none."""
    max_usd: float | None = None
    """What may be spent and reserved together; None: no limit, and before schema version 3 not known."""
    default: Params | None = None
    """The default configuration, complete; None before schema version 4."""


@dataclass(frozen=True)
class SweepResumed:
    """The sweep goes on in another session."""

    at: datetime
    trials: int
    """How many the sweep may make from now on."""
    raysweep_version: str
    max_usd: float | None = None
    """What may be spent and reserved together from now on, all sessions together; None as in `SweepStarted`."""


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
    """Set aside for this attempt, until it is settled; None where it costs nothing."""
    seed: int | None = None
    """Of everything random in its job; None before schema version 4."""
    replica_of: int | None = None
    """The finalist whose params it repeats with another seed; None for a trial of the search."""


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
    """Nobody works on the trial any more, though it has not ended: it waits to be taken up again.

    It takes back an end that came only because the sweep ended.
    """

    at: datetime
    trial: int
    attempt: int
    fault: Fault | None
    """Whose it was; None where it was nobody's. Only faults count towards the limit of attempts."""
    reason: str
    is_job_over: bool = True
    """Whether its job is known to be over; else whoever takes the trial up finds it at its host by its key."""
    wait_s: float = 0.0
    """For how long nobody takes it up, from now on."""
    usd: float | None = None
    """What the attempt has cost, where its job is over; None: nothing, or all that was reserved for it."""

    @property
    def words(self) -> str:
        """Whose fault it was, if anybody's, and why, for a person."""
        return f"{self.fault}: {self.reason}" if self.fault else self.reason


@dataclass(frozen=True)
class CancelRequested:
    """The driver decided to stop a trial before its end."""

    at: datetime
    trial: int
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class TrialEnded:
    """The trial is over; nobody works on it any more."""

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
    """What its last attempt has cost, as far as that was seen; None: nothing, or all that is still reserved for it."""
    is_settled: bool = True
    """Whether that is the last word. Else the attempt's job may train on, and its reservation stays: `JobSettled`."""


@dataclass(frozen=True)
class JobSettled:
    """The host has shown that an ended trial's job is over: what it has cost takes the place of the reservation."""

    at: datetime
    trial: int
    attempt: int
    usd: float


@dataclass(frozen=True)
class FinalReserved:
    """The intent to score a model after the search, and what that may cost: for good, where no `FinalScored` comes."""

    at: datetime
    name: str
    trial: int
    split: str
    usd: float


@dataclass(frozen=True)
class FinalScored:
    """A model was scored after the search, on a split that ranked no trial."""

    at: datetime
    name: str
    """`best`, `finalist`, `default`, `replica`, or a baseline's: `majority`, `tfidf`, `zero_shot`…"""
    trial: int | None
    split: str
    metrics: Mapping[str, float | None]
    usd: float | None = None
    """What the answers have cost; None: nothing."""


@dataclass(frozen=True)
class SweepEnded:
    """The sweep is over; the last entry of a session, but for jobs that are settled after an error."""

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
    | JobSettled
    | FinalReserved
    | FinalScored
    | SweepEnded
)

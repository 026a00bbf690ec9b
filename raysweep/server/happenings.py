"""What can happen to a job: what its engine reports, and what clients ask for."""

from collections.abc import Mapping
from dataclasses import dataclass

from raysweep.server.records import JobError, Plan


@dataclass(frozen=True)
class Validated:
    """Its files are good; the numbers for every `auto` are known."""

    plan: Plan


@dataclass(frozen=True)
class Began:
    """A slot was free, and training goes on from the last step."""


@dataclass(frozen=True)
class Stepped:
    """One step was trained."""

    step: int
    values: Mapping[str, float]
    """By the wire's names; what was not measured is left out."""


@dataclass(frozen=True)
class Snapshot:
    """Weights that were kept at a step."""

    step: int
    where: str


@dataclass(frozen=True)
class Finished:
    """Training is over; the snapshots in ascending order, the last of them the model."""

    snapshots: tuple[Snapshot, ...]
    trained_tokens: int | None = None
    """As the engine counted them; None: as the plan did."""


@dataclass(frozen=True)
class Held:
    """A pause has taken effect, and left this."""

    snapshot: Snapshot


@dataclass(frozen=True)
class Broke:
    """It cannot go on."""

    error: JobError


@dataclass(frozen=True)
class CancelAsked:
    """By a client."""


@dataclass(frozen=True)
class PauseAsked:
    """By a client."""


@dataclass(frozen=True)
class ResumeAsked:
    """By a client."""


Report = Stepped | Finished | Held | Broke
"""What an engine says."""
Happening = Report | Validated | Began | CancelAsked | PauseAsked | ResumeAsked


@dataclass(frozen=True)
class Timed:
    """A report with its moment."""

    at_s: float
    report: Report

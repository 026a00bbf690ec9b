"""What an actor tells its driver."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from raysweep.errors import JobFailed
from raysweep.jobs import Progress


@dataclass(frozen=True)
class Report:
    """What an actor says after a step."""

    job_id: str
    host: str
    progress: Progress | None = None
    """None in the first report of a job, which says only that it was accepted."""
    failure: JobFailed | None = None
    is_job_over: bool = True
    """With a failure: whether the job itself is over, rather than out of reach."""


def finite(metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    """The metrics as a ledger can hold them: None for what is not a number."""
    return {name: value if value is not None and math.isfinite(value) else None for name, value in metrics.items()}

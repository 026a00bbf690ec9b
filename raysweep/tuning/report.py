"""What an actor tells its driver."""

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

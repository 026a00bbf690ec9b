"""What the host allows: jobs at once, in the queue, a day and in all, files, requests a minute; and how it says no."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from raysweep.server.records import Job, Status
from raysweep.server.refusal import Refusal, too_many

DAY_S = 86_400.0


@dataclass(frozen=True)
class Limits:
    """None: no limit."""

    running: int = 3
    queued: int = 20
    creates_per_day: int | None = None
    total_jobs: int | None = None
    total_files: int | None = None
    deployments: int = 10
    requests_per_minute: int | None = None


def check_create(limits: Limits, jobs: Iterable[Job], model: str, now_s: float) -> None:
    """Raises Refusal where one job more would be too many."""
    known = list(jobs)
    if limits.total_jobs is not None and len(known) >= limits.total_jobs:
        message = f"The maximum number of fine-tuning jobs, {limits.total_jobs}, has been reached. Delete old ones."
        raise too_many(message, code="quota_exceeded")
    n_active = sum(job.status.holds_slot or job.status in (Status.VALIDATING, Status.QUEUED) for job in known)
    if n_active >= limits.running + limits.queued:
        message = f"Too many active fine-tuning jobs: {n_active}, of at most {limits.running} running"
        raise too_many(f"{message} and {limits.queued} queued.", code="rate_limit_exceeded", retry_after_s=30)
    _check_day(limits, known, model, now_s)


def check_upload(limits: Limits, n_files: int) -> None:
    """Raises Refusal where one file more would be too many."""
    if limits.total_files is not None and n_files >= limits.total_files:
        message = f"The maximum number of files, {limits.total_files}, has been reached. Delete old ones."
        raise too_many(message, code="quota_exceeded")


def _check_day(limits: Limits, jobs: list[Job], model: str, now_s: float) -> None:
    if limits.creates_per_day is None:
        return
    recent = [job.created_at_s for job in jobs if job.order.model == model and job.created_at_s > now_s - DAY_S]
    if len(recent) >= limits.creates_per_day:
        raise too_many(
            "This fine-tune request has been rate-limited. Your organization has reached the maximum of "
            f"{limits.creates_per_day} fine-tuning requests per day for the model '{model}'.",
            code="daily_rate_limit_exceeded",
            retry_after_s=math.ceil(min(recent) + DAY_S - now_s),
        )


class Meter:
    """Counts the requests of the last minute."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._at_s: deque[float] = deque()

    def count(self, now_s: float) -> None:
        """One request more. Raises Refusal where the minute is full; that request does not count."""
        while self._at_s and self._at_s[0] <= now_s - 60:
            self._at_s.popleft()
        if self._limit is not None and len(self._at_s) >= self._limit:
            raise self._refused(self._at_s[0] + 60 - now_s)
        self._at_s.append(now_s)

    def headers(self) -> dict[str, str]:
        """What the wire says of the rest of the minute; a host without limit says large numbers."""
        limit = 100_000 if self._limit is None else self._limit
        return {
            "x-ratelimit-limit-requests": str(limit),
            "x-ratelimit-remaining-requests": str(max(0, limit - len(self._at_s))),
            "x-ratelimit-reset-requests": "1m0s" if self._at_s else "0s",
            "x-ratelimit-limit-tokens": "10000000",
            "x-ratelimit-remaining-tokens": "10000000",
            "x-ratelimit-reset-tokens": "0s",
        }

    def _refused(self, wait_s: float) -> Refusal:
        message = f"Rate limit reached for requests: {self._limit} per minute."
        return too_many(message, type="requests", code="rate_limit_exceeded", retry_after_s=math.ceil(wait_s))

"""A folder that plays a remote host: jobs go on by the clock, whoever watches, and end where the host says so.

`jobs/KEY.json` is a job, made whole or not at all and once a key; `cancels/ID` holds the moment of a cancel;
`creates/KEY` has one line for each time that a job of the key was made: never more than one.
"""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from raysweep.clock import Clock, RealClock
from raysweep.errors import Fault, JobFailed
from raysweep.jobs import JobView, Progress
from raysweep.trainers.synthetic_curve import Curve
from raysweep.trainers.synthetic_faults import ScriptedFault

ID_PREFIX = "synthetic-"
POLL_S = 0.1
"""How often a watcher looks whether somebody else has cancelled the job."""


class Status(StrEnum):
    """What has become of a job."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class HostedJob:
    """A job as the host keeps it."""

    key: str
    id: str
    sweep_id: str
    made_at_s: float
    """Seconds since 1970."""
    epoch_s: float
    budget: float
    """In epochs."""
    quality: float
    """Of the model that it ends with."""
    seed: int
    failure: str = ""
    """Why it fails, as soon as it is made."""
    fault: str = ""

    @property
    def ends_at_s(self) -> float:
        """When it is done, if nothing happens to it."""
        return self.made_at_s if self.failure else self.made_at_s + self.budget * self.epoch_s


class SyntheticHost:
    """The folder. Its methods may be called from any number of processes at once."""

    def __init__(self, folder: Path, *, listing_lag_s: float, clock: Clock | None = None) -> None:
        """Touches nothing yet."""
        self._folder = folder
        self._lag_s = listing_lag_s
        self._clock = clock or RealClock()

    def now_s(self) -> float:
        """Seconds since 1970."""
        return self._clock.now().timestamp()

    def listed(self, sweep_id: str) -> Iterator[HostedJob]:
        """The sweep's jobs, but for those too young to be listed."""
        for path in sorted((self._folder / "jobs").glob(f"{sweep_id}-*.json")):
            job = HostedJob(**json.loads(path.read_text(encoding="utf-8")))
            if self.now_s() - job.made_at_s >= self._lag_s:
                yield job

    def found(self, sweep_id: str, key: str) -> HostedJob | None:
        """The job of this key, by the host's list."""
        return next((job for job in self.listed(sweep_id) if job.key == key), None)

    def create(self, job: HostedJob) -> bool:
        """Whether the job was made; False where its key is taken."""
        path = self._folder / "jobs" / f"{job.key}.json"
        half = path.with_name(f"{job.key}.{os.getpid()}.{threading.get_ident()}.part")
        path.parent.mkdir(parents=True, exist_ok=True)
        half.write_text(json.dumps(asdict(job)), encoding="utf-8")
        try:
            path.hardlink_to(half)  # whole or not at all, and only where nothing is
        except FileExistsError:
            return False
        finally:
            half.unlink()
        self._count("creates", job.key)
        return True

    def create_or_find(self, job: HostedJob) -> HostedJob:
        """The one job of this key, at whatever moments others ask for it too. Raises JobFailed (host) if it is lost."""
        found = self.found(job.sweep_id, job.key)
        if found is not None or self.create(job):
            return found or job
        self._clock.sleep_s(self._lag_s)  # somebody has made it, but it is too young for the list
        found = self.found(job.sweep_id, job.key)
        if found is None:
            raise JobFailed(f"{job.key}: made at the host but not listed within {self._lag_s:g} s", Fault.HOST)
        return found

    def cancel(self, job_id: str) -> None:
        """Stop a running job; nothing for a final or unknown one."""
        if not (self._folder / "jobs" / f"{job_id.removeprefix(ID_PREFIX)}.json").is_file():
            return
        path = self._folder / "cancels" / job_id
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f"{job_id}.{os.getpid()}.{threading.get_ident()}.part")
        half.write_text(repr(self.now_s()), encoding="utf-8")
        try:
            path.hardlink_to(half)
        except FileExistsError:
            return  # the first moment counts
        finally:
            half.unlink()

    def status(self, job: HostedJob) -> Status:
        """What has become of it by now; a cancel after its end changes nothing."""
        cancelled_at_s = self._cancelled_at_s(job)
        if cancelled_at_s is not None and cancelled_at_s < job.ends_at_s:
            return Status.CANCELLED
        if self.now_s() < job.ends_at_s:
            return Status.RUNNING
        return Status.FAILED if job.failure else Status.SUCCEEDED

    def view(self, job: HostedJob) -> JobView:
        """As a sweep sees it in the list."""
        return JobView(job.key, job.id, is_final=self.status(job) is not Status.RUNNING)

    def epoch(self, job: HostedJob) -> float:
        """How far it has come; a cancelled one stays where it was."""
        cancelled_at_s = self._cancelled_at_s(job)
        until_s = self.now_s() if cancelled_at_s is None else min(cancelled_at_s, self.now_s())
        return job.budget if until_s >= job.ends_at_s else max(0.0, until_s - job.made_at_s) / job.epoch_s

    def model(self, job: HostedJob) -> str:
        """The tuned model's name."""
        return str(self._folder / "jobs" / f"{job.key}.json")

    def struck(self, trial: str) -> int:
        """How often a scripted fault has struck this trial's watchers, and count one more."""
        return self._count("strikes", trial)

    def _count(self, kind: str, name: str) -> int:
        """Lines that were there before this one."""
        path = self._folder / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{self.now_s()!r}\n")
        return len(path.read_text(encoding="utf-8").splitlines()) - 1

    def _cancelled_at_s(self, job: HostedJob) -> float | None:
        path = self._folder / "cancels" / job.id
        return float(path.read_text(encoding="utf-8")) if path.is_file() else None


class HostedSyntheticJob:
    """Watches one job at the host; the job does not mind."""

    def __init__(self, host: SyntheticHost, job: HostedJob, curve: Curve, fault: ScriptedFault) -> None:
        self.id = job.id
        self._host = host
        self._job = job
        self._curve = curve
        self._fault = fault
        self._n_told = curve.spec.n_evaluations
        self._cancelled = threading.Event()

    def advance(self, timeout_s: float) -> Progress:
        """Wait for the host's next evaluation. Raises JobFailed for a job that the host failed or others cancelled."""
        until_s = time.monotonic() + timeout_s
        if self._n_told == 0 and self._fault.word in ("kill", "step", "block"):
            spec = self._curve.spec
            self._fault.step(self._host.struck(f"{spec.sweep_id}-{spec.trial:04d}"))
        while True:
            progress = self._look()
            wait_s = min(POLL_S, until_s - time.monotonic())
            if progress.evaluation or progress.is_final or wait_s <= 0 or self._cancelled.wait(wait_s):
                return progress

    def cancel(self) -> None:
        """At the host; whoever waits wakes up."""
        if self._host.status(self._job) is Status.RUNNING:
            self._cancelled.set()
            self._host.cancel(self.id)

    def leave(self) -> None:
        """Whoever waits wakes up; the job goes on."""
        self._cancelled.set()

    def _look(self) -> Progress:
        status = self._host.status(self._job)
        if status is Status.FAILED:
            raise JobFailed(self._job.failure, Fault(self._job.fault))
        if status is Status.CANCELLED and not self._cancelled.is_set():
            raise JobFailed(f"{self.id}: cancelled at the host", Fault.HOST)
        epoch, points = self._host.epoch(self._job), self._curve.spec.evaluate_at
        is_due = self._n_told < len(points) and points[self._n_told] <= epoch and not self._cancelled.is_set()
        evaluation = self._curve.evaluation(self._n_told) if is_due else None
        self._n_told += is_due
        is_final = status is Status.SUCCEEDED and self._n_told >= len(points)
        model = self._host.model(self._job) if is_final else None
        return Progress(epoch, self._curve.tokens(epoch), evaluation, is_final, model)


def hosted_job(curve: Curve, fault: ScriptedFault, made_at_s: float) -> HostedJob:
    """What the host is asked for."""
    spec = curve.spec
    failure = fault.failure(spec.attempt - 1)
    said: Mapping[str, str] = {"failure": failure.reason, "fault": failure.fault} if failure else {}
    return HostedJob(
        key=spec.key,
        id=ID_PREFIX + spec.key,
        sweep_id=spec.sweep_id,
        made_at_s=made_at_s,
        epoch_s=curve.settings.epoch_s,
        budget=spec.evaluate_at[-1],
        quality=float(curve.model()["quality"]),
        seed=spec.seed,
        **said,
    )

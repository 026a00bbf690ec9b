"""Where the jobs of a schedule live: with their makers, in a folder, at a server; and what is left there."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from raysweep import environment
from raysweep.entries import Entry, JobAccepted, SweepStarted, TrialProposed
from raysweep.server.records import Job
from raysweep.server.records import Status as JobStatus
from raysweep.server.store import Store
from raysweep.testing.chaos_misfortune import faults_of
from raysweep.testing.chaos_schedule import WIRE, Schedule, Sweep
from raysweep.testing.server import Server
from raysweep.trainers.hosted import KEY_TAG, SWEEP_TAG
from raysweep.trainers.synthetic_host import HostedJob, Status, SyntheticHost

EPOCH_S = 0.4


@dataclass(frozen=True)
class Made:
    """A job that a host has, or had."""

    key: str
    has_failed: bool
    """Whether the host itself failed it; one that was cancelled has not."""
    trained_tokens: int = 0
    """What it has trained, whether or not the host bills that."""


class Host(Protocol):
    """Where jobs live."""

    @property
    def address(self) -> str:
        """What the trainer's settings say of it; empty for nothing."""
        ...

    @property
    def variables(self) -> Mapping[str, str]:
        """What a driver finds in its environment."""
        ...

    def restart(self) -> None:
        """Kill it, and start it again with the same state."""
        ...

    def close(self) -> None:
        """It is needed no more."""
        ...

    def problems(self, entries: Sequence[Entry]) -> Iterator[str]:
        """What is there that should not be, by a sweep's ledger; asked once it is closed."""
        ...

    def made(self, sweep_id: str) -> Sequence[Made]:
        """Every job of the sweep that was made there, the oldest first; asked once it is closed."""
        ...


class FolderHost:
    """A folder that plays a host; it has no process."""

    variables: Mapping[str, str] = {}

    def __init__(self, folder: Path) -> None:
        self.address = str(folder)

    def restart(self) -> None:
        """Nothing: there is no process."""

    def close(self) -> None:
        """Nothing: there is no process."""

    def problems(self, entries: Sequence[Entry]) -> Iterator[str]:
        """No job was made twice, and none of the sweep's runs on."""
        folder = Path(self.address)
        if folder.is_dir():
            yield from host_is_clear(folder, sweep_id_of(entries))

    def made(self, sweep_id: str) -> Sequence[Made]:
        """Those of its folder."""
        host = SyntheticHost(Path(self.address), listing_lag_s=0.0)
        made = sorted(host.listed(sweep_id), key=lambda job: job.made_at_s)
        return [Made(job.key, host.status(job) is Status.FAILED) for job in made]


class WireHost:
    """The local server of the fine-tuning wire, in a process of its own."""

    def __init__(self, folder: Path, sweep: Sweep, misfortunes: Sequence[str] = ()) -> None:
        """Starts it."""
        self._names = (*misfortunes, *([sweep.failure] if sweep.failure else []))
        folder.mkdir(parents=True, exist_ok=True)
        self._server = Server(folder, ("--epoch-s", str(EPOCH_S), "--running", "4"))
        self._server.start(faults=faults_of(self._names))
        self.address = self._server.base_url

    @property
    def variables(self) -> Mapping[str, str]:
        """The key that it takes."""
        return {environment.SERVER_KEY: self._server.key}

    def restart(self) -> None:
        """As after a crash of its machine: what is stuck comes loose."""
        self._server.kill()
        self._server.start(faults=faults_of(self._names, is_restarted=True))

    def close(self) -> None:
        """By SIGTERM, so that everything is on disk."""
        self._server.stop()

    def problems(self, entries: Sequence[Entry]) -> Iterator[str]:
        """Jobs are the ledger's attempts, each once; never two alive for one trial; none is alive now."""
        yield from jobs_are_the_ledgers(self._stored(), entries)

    def made(self, sweep_id: str) -> Sequence[Made]:
        """Those of its records."""
        stored = sorted(self._stored(), key=lambda job: job.created_at_s)
        ours = [(job.order.metadata or {}, job) for job in stored]
        tagged = [(tags[KEY_TAG], job) for tags, job in ours if tags.get(SWEEP_TAG) == sweep_id]
        return [Made(key, job.status is JobStatus.FAILED, _trained_tokens(job)) for key, job in tagged]

    def _stored(self) -> Sequence[Job]:
        store = Store(self._server.folder / "state", "synthetic")
        try:
            return store.load(Job)
        finally:
            store.close()


class NoHost:
    """Jobs live with their makers."""

    address = ""
    variables: Mapping[str, str] = {}

    def restart(self) -> None:
        """Nothing: there is none."""

    def close(self) -> None:
        """Nothing: there is none."""

    def problems(self, entries: Sequence[Entry]) -> Iterator[str]:
        """None: there is nothing."""
        return iter(())

    def made(self, sweep_id: str) -> Sequence[Made]:
        """None: there is nothing."""
        return ()


def make_host(trainer: str, folder: Path, sweep: Sweep, schedule: Schedule | None = None) -> Host:
    """What the trainer's jobs live at in this sweep; without a schedule nothing goes wrong there."""
    if trainer == WIRE:
        return WireHost(folder, sweep, schedule.misfortunes if schedule else ())
    return FolderHost(folder) if trainer == "synthetic" else NoHost()


def jobs_are_the_ledgers(jobs: Sequence[Job], entries: Sequence[Entry]) -> Iterator[str]:
    """What a server's jobs and a sweep's ledger do not agree upon."""
    proposed = {entry.key for entry in entries if isinstance(entry, TrialProposed)}
    accepted = {entry.job_id for entry in entries if isinstance(entry, JobAccepted) and entry.job_id}
    sweep_id = sweep_id_of(entries)
    ours = [job for job in jobs if (job.order.metadata or {}).get(SWEEP_TAG) == sweep_id]
    keys = Counter((job.order.metadata or {})[KEY_TAG] for job in ours)
    yield from (f"{key}: {n} jobs at the host" for key, n in keys.items() if n > 1)
    yield from (f"{key}: a job at the host that no attempt asked for" for key in keys if key not in proposed)
    yield from (f"{job_id}: accepted, but not at the host" for job_id in accepted - {job.id for job in ours})
    yield from (f"{job.id}: {job.status} at the host, at the end" for job in ours if not job.status.is_final)
    yield from _overlaps(ours)


def host_is_clear(folder: Path, sweep_id: str) -> Iterator[str]:
    """At the folder that plays a host no job was made twice, and none of the sweep's runs on."""
    host = SyntheticHost(folder, listing_lag_s=0.0)
    for made in sorted((folder / "creates").glob(f"{sweep_id}-*")):
        n_creates = len(made.read_text(encoding="utf-8").splitlines())
        if n_creates > 1:  # none where its maker died before it could note it
            yield f"{made.name}: made {n_creates} times at the host"
    listed: list[HostedJob] = list(host.listed(sweep_id))
    yield from (f"{job.key}: still runs at the host" for job in listed if host.status(job) is Status.RUNNING)


def _trained_tokens(job: Job) -> int:
    plan = job.plan
    by_steps = plan.tokens_per_epoch * job.step // max(1, plan.steps_per_epoch) if plan else 0
    return max(job.trained_tokens or 0, by_steps)


def sweep_id_of(entries: Sequence[Entry]) -> str:
    """Of the sweep whose ledger it is; empty for no ledger."""
    first = entries[0] if entries else None
    return first.sweep_id if isinstance(first, SweepStarted) else ""


def _overlaps(jobs: Sequence[Job]) -> Iterator[str]:
    """Jobs of one trial that lived at the same time."""
    by_trial: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        by_trial[(job.order.metadata or {})[KEY_TAG].rpartition("-")[0]].append(job)
    for trial, its in by_trial.items():
        its.sort(key=lambda job: job.created_at_s)
        for before, after in pairwise(its):
            if before.finished_at_s is None or before.finished_at_s > after.created_at_s:
                yield f"{trial}: {before.id} and {after.id} were alive at the same time"

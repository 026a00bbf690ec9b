"""What must be true of a sweep whose driver leaves its jobs at their host: no trial ever has a job too many."""

from collections.abc import Iterator, Sequence

from raysweep.entries import Entry, TrialEnded, TrialProposed
from raysweep.jobs import Outcome
from raysweep.testing.chaos_host import Made

INTERRUPTED = "interrupted by"
"""How the reason begins of a trial that a signal has ended."""


def one_job_a_trial(made: Sequence[Made], entries: Sequence[Entry]) -> Iterator[str]:
    """Each trial has one job in all, whatever struck the sweep.

    A further one may only take the place of a job that its host has failed, or that was cancelled because the sweep
    broke: then nothing is left. `made` are the host's jobs, the oldest first.
    """
    broken = frozenset(_broken(entries))
    for trial in sorted({entry.trial for entry in entries if isinstance(entry, TrialProposed)}):
        its = [job for job in made if _trial(job.key) == trial]
        if not its:
            yield f"trial {trial}: no job at the host"
        for job in its[:-1]:
            if not job.has_failed and job.key not in broken:
                yield f"trial {trial}: {its[-1].key} was made though {job.key} had not failed"


def _broken(entries: Sequence[Entry]) -> Iterator[str]:
    """Keys of attempts that ended with their sweep, but by no signal."""
    keys: dict[int, str] = {}
    for entry in entries:
        if isinstance(entry, TrialProposed):
            keys[entry.trial] = entry.key
        elif isinstance(entry, TrialEnded) and _broke(entry):
            yield keys[entry.trial]


def _broke(end: TrialEnded) -> bool:
    return end.outcome is Outcome.CANCELLED and not end.reason.startswith(INTERRUPTED)


def _trial(key: str) -> int:
    return int(key.split("-")[-2])

"""What a sweep strives for and allows, as its driver needs to know it."""

from dataclasses import dataclass

from raysweep.config.sections import REPLICA_STEP
from raysweep.goal import Goal
from raysweep.trial_state import TrialState


@dataclass(frozen=True)
class Rules:
    """What a driver needs to know of its sweep."""

    goal: Goal
    stopping_goal: Goal
    sampled: tuple[str, ...]
    """Names of the params that vary."""
    target: float | None = None
    time_s: float | None = None
    """For which the sweep may be driven, all its sessions together."""
    concurrency: int = 1
    """How many trials may be worked on at once."""
    attempts: int = 1
    """How often a trial is tried; only faults of the machine or the host count."""
    wait_s: float = 0.0
    """Before the second attempt."""
    has_host: bool = False
    """Whether jobs outlive whoever made them, so that a lost trial's job is adopted rather than made anew."""
    leaves_jobs: bool = False
    """Whether a signal lets the jobs at a host go on; every other end cancels them."""
    replicates: bool = False
    """Whether the driver's trials repeat finalists with fresh seeds; else they are the search's."""

    def owns(self, trial: TrialState) -> bool:
        """Whether the trial is one of the driver's."""
        return (trial.replica_of is not None) == self.replicates

    def replica_of(self, trial: int) -> int | None:
        """What one of the driver's trials repeats; None for a trial of the search."""
        return trial % REPLICA_STEP if self.replicates else None

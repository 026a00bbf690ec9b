"""Whether a trial that nobody works on any more is tried again: a pure rule over whose fault it was, and how often."""

from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.errors import Fault
from raysweep.jobs import Outcome

GROWTH = 4
"""Each wait is so many times the one before: three waits of 5, 20 and 80 s outlast a minute without storage."""


@dataclass(frozen=True)
class Again:
    """A further attempt may begin."""

    wait_s: float
    """From now on; storage and hosts need time to come back."""


@dataclass(frozen=True)
class GiveUp:
    """No further attempt."""

    outcome: Outcome
    reason: str


def next_step(faults: Sequence[Fault], reason: str, *, attempts: int, wait_s: float) -> Again | GiveUp:
    """What becomes of the trial after its latest interruption.

    `faults`: of all its interruptions that were anybody's, the latest last; `attempts`: how many may be made in all.
    The host's and the machine's faults are tried again. Memory that ran out twice is the params' doing, and so a
    result for the search. Where nobody knows whether a job was made, none is made again.
    """
    if not faults:
        return Again(0.0)
    if faults[-1] is Fault.UNKNOWN:
        return GiveUp(Outcome.ERRORED, reason)
    if faults.count(Fault.MEMORY) > 1:
        return GiveUp(Outcome.FAILED, f"{reason}; memory ran out twice, so the params ask for too much of it")
    if len(faults) >= attempts:
        tried = f" (attempt {len(faults)} of {attempts})" if attempts > 1 else ""
        return GiveUp(Outcome.ERRORED, f"{reason}{tried}")
    return Again(wait_s * GROWTH ** (len(faults) - 1))

"""What chaos says of money: a budget that binds is never exceeded, and the ledger pays for all that a host has done."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from raysweep.entries import Entry
from raysweep.jobs import key_of
from raysweep.spending import SLACK_USD
from raysweep.state import SweepState
from raysweep.testing.chaos_host import Made, sweep_id_of
from raysweep.testing.chaos_schedule import Action, Place, Schedule, Sweep

TRAINING_USD = 100.0
"""For a million trained tokens."""
PRICES: Mapping[str, float] = {
    "training_usd_per_million": TRAINING_USD,
    "input_usd_per_million": 10.0,
    "output_usd_per_million": 40.0,
}
JOB_USD, USED_USD, FINAL_USD = 0.4445, 0.2903, 0.0103
"""What a job of these sweeps reserves, what it uses when it runs to its end, what scoring a model takes: at most."""
N_FINALISTS = 2
"""The best, and the default configuration."""
ENDS_JOBS = frozenset({Action.SIGINT, Action.SIGTERM, Action.HEAD, Action.NODE})
"""What may have the jobs of all live trials cancelled, and further ones made in their place."""
SLACK = 0.4
"""Of a job's reservation: enough for one job to reserve more than it uses, not for two."""


def budget_usd(sweep: Sweep, schedule: Schedule | None = None) -> float:
    """What the sweep may spend: all that it needs, and little more, so that its last trials wait for one another.

    Each strike that ends jobs may cost a whole reservation for each trial that runs, and each the final scores.
    """
    strikes = schedule.strikes if schedule else ()
    is_ray = schedule is not None and schedule.place is not Place.PROCESSES
    n_lost = sweep.concurrency * sum(is_ray or one.action in ENDS_JOBS for one in strikes) + bool(sweep.failure)
    return sweep.n_trials * USED_USD + (SLACK + n_lost) * JOB_USD + (1 + len(strikes)) * N_FINALISTS * FINAL_USD


def money_holds(entries: Sequence[Entry], made: Sequence[Made]) -> Iterator[str]:
    """Spent and reserved within the budget after every entry; each job paid with what it has trained, at least."""
    state = SweepState()
    paid: defaultdict[str, float] = defaultdict(float)
    for number, entry in enumerate(entries, start=1):
        before, state = state, state.apply(entry)
        if state.max_usd is None:
            yield f"entry {number}: the sweep has no budget"
            return
        if not state.spending.fits(0.0, state.max_usd):
            yield f"entry {number}, {type(entry).__name__}: {state.spending} of {state.max_usd:.4f} USD"
        for trial in state.trials.keys() & before.trials.keys():
            account = before.trials[trial].account
            key = key_of(sweep_id_of(entries), trial, account.attempt)
            paid[key] += (state.trials[trial].account.settled_usd or 0.0) - (account.settled_usd or 0.0)
    if state.spending.reserved:
        yield f"at the end {state.spending.reserved:.4f} USD are still reserved"
    yield from _unpaid(paid, made)
    if sum(paid.values()) + state.finals_usd < state.spending.spent - SLACK_USD:
        yield f"{state.spending.spent:.4f} USD are spent, on attempts only {sum(paid.values()):.4f}"


def _unpaid(paid: Mapping[str, float], made: Sequence[Made]) -> Iterator[str]:
    total = 0.0
    for job in made:
        usd = job.trained_tokens * TRAINING_USD / 1e6
        total += usd
        if usd > paid.get(job.key, 0.0) + SLACK_USD:
            yield f"{job.key}: has trained for {usd:.4f} USD at the host, {paid.get(job.key, 0):.4f} are paid"
    if total > sum(paid.values()) + SLACK_USD:
        yield f"the host has trained for {total:.4f} USD, and the ledger paid {sum(paid.values()):.4f}"

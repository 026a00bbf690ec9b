"""What ended trials' jobs have cost, once their host has shown that they are over; touches nothing."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime

from raysweep.dimensions import Params
from raysweep.entries import JobSettled
from raysweep.jobs import Estimate, JobView, Outcome, key_of
from raysweep.state import SweepState
from raysweep.trial_state import TrialState

PROMPT_S = 300.0
"""Where a host does not say what a job has trained, what was seen of it holds for a job that was over so soon."""
STOPPED = (Outcome.PRUNED, Outcome.CANCELLED)
"""Outcomes of trials whose jobs nobody watched to their own end."""
Price = Callable[[Params], Estimate]
"""What a job with these params takes at most."""


def settlements(
    state: SweepState, listed: Sequence[JobView], unseen: Collection[str], price: Price, at: datetime
) -> Iterator[JobSettled]:
    """One for each ended trial whose job is over by its host's word; none for those that may still cost something.

    `unseen`: keys that the host does not list although it would by now.
    """
    for trial in state.owed:
        key = key_of(state.sweep_id, trial.number, trial.account.attempt)
        jobs = [job for job in listed if job.key == key]
        if jobs and all(job.is_final for job in jobs):
            usd = sum(_usd(trial, job, price, at) for job in jobs)
            yield JobSettled(at, trial.number, trial.account.attempt, usd)
        elif not jobs and key in unseen:
            usd = 0.0 if trial.job is None else _reserved(trial)  # none was ever made; one that was, was deleted there
            yield JobSettled(at, trial.number, trial.account.attempt, usd)


def _usd(trial: TrialState, job: JobView, price: Price, at: datetime) -> float:
    """By the host's own count; a job that has ended well costs its scores too, for they may have been begun."""
    most = price(trial.params)
    training_usd = (most.usd or 0.0) - most.scoring_usd
    if job.trained_tokens and most.trained_tokens:
        scoring_usd = most.scoring_usd if job.has_succeeded else 0.0
        return training_usd * job.trained_tokens / most.trained_tokens + scoring_usd
    if job.has_failed and trial.outcome in STOPPED:  # it went on unseen until its own end
        return training_usd
    was_prompt = trial.ended is not None and (at - trial.ended.at).total_seconds() <= PROMPT_S
    return _seen(trial) if was_prompt and not job.has_succeeded else _reserved(trial)


def _seen(trial: TrialState) -> float:
    """As far as it was seen when the trial ended."""
    seen = trial.ended.usd if trial.ended else None
    return _reserved(trial) if seen is None else seen


def _reserved(trial: TrialState) -> float:
    return trial.account.open_usd or 0.0

"""What trackers are told of a sweep, in names and values that any of them takes."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping

from raysweep.entries import DEFAULT, Evaluated, FinalScored
from raysweep.frames import EVALUATION_COLUMNS
from raysweep.jobs import Outcome
from raysweep.state import SweepState, TrialState
from raysweep.views.pace import counts
from raysweep.views.words import distinct

_ELSE = re.compile(r"[^/\w.\- ]")
REASON = 500
"""Letters of a reason, at most."""
LETTERS = 240
"""Of a name, at most: MLflow takes 250."""


def name_for(name: str) -> str:
    """A metric's or a param's name, without what MLflow refuses, where it may become a path: a label may hold any."""
    parts = _ELSE.sub("_", name[:LETTERS]).split("/")
    return "/".join("_" if part in ("", ".", "..") else part for part in parts)


def names_for(names: Iterable[str]) -> dict[str, str]:
    """A name that any tracker takes for each, no two alike: labels as `<5` and `>5` differ in no other letter."""
    return distinct(names, name_for)


def evaluation_metrics(one: Evaluated) -> dict[str, float]:
    """Every metric of an evaluation that is a number, and how far the training was."""
    scores = {
        name if name not in EVALUATION_COLUMNS else f"metrics/{name}": value for name, value in one.metrics.items()
    }
    return numbers({**scores, "epoch": one.epoch, "trained_tokens": float(one.trained_tokens)})


def end_metrics(trial: TrialState) -> dict[str, float]:
    """What is known of a trial once it has ended."""
    if trial.ended is None:
        return {}
    seconds = (trial.ended.at - trial.started_at).total_seconds() if trial.started_at else None
    return numbers({"objective": trial.ended.objective, "usd": trial.account.settled_usd, "duration_s": seconds})


def trial_words(trial: TrialState) -> dict[str, str]:
    """How a trial stands, in words."""
    ended = trial.ended
    words = {
        "outcome": str(ended.outcome) if ended else "running",
        "reason": ended.reason[:REASON] if ended else "",
        "model": (ended.model or "") if ended else "",
        "job_id": trial.job.job_id if trial.job else "",
        "host": trial.job.host if trial.job else "",
        "attempts": str(trial.attempts),
        "replica_of": "" if trial.replica_of is None else str(trial.replica_of),
    }
    return _told(words, "reason")


def _told(words: Mapping[str, str], passing: str) -> dict[str, str]:
    """The words that say something, and the one that may have said something before that is true no more."""
    return {name: value for name, value in words.items() if value or name == passing}


def sweep_words(state: SweepState) -> dict[str, str]:
    """What a sweep is, and how it stands."""
    started = state.started
    if started is None:
        return {}
    words = {
        "sweep": started.sweep_id,
        "name": started.name,
        "objective": f"{started.metric} ({started.mode})",
        "data_fingerprint": started.data_fingerprint,
        "raysweep_version": started.raysweep_version,
        "best_trial": str(state.best.number) if state.best else "",
        "end": state.ended.reason[:REASON] if state.ended else "",
    }
    return _told(words, "end")


def sweep_metrics(state: SweepState) -> dict[str, float]:
    """How a sweep stands, in numbers: the best so far, trials by outcome, tokens, money, and the final scores."""
    best, ended = state.best.ended.objective if state.best and state.best.ended else None, counts(state)
    found: dict[str, float | None] = {
        f"best_{state.goal.metric}": best,
        "trained_tokens": float(sum(trial.trained_tokens for trial in state.trials.values())),
        "usd": state.spending.spent if state.spending.is_any else None,
        **{f"trials_{outcome}": float(ended.get(outcome, 0)) for outcome in Outcome},
    }
    winner = state.best.number if state.best else None
    for final in state.finals:
        found |= dict(_final(final, winner))
    return numbers(found)


def trial_finals(state: SweepState, trial: int) -> dict[str, float]:
    """The final scores of a trial's model."""
    finals = (one for one in state.finals if one.trial == trial)
    return numbers({name: value for one in finals for name, value in one.metrics.items()})


def n_ended(state: SweepState) -> int:
    """How many trials have ended: the sweep's own step."""
    return sum(trial.ended is not None for trial in state.trials.values())


def numbers(found: Mapping[str, float | None]) -> dict[str, float]:
    """By names that any tracker takes, without what is no number."""
    names = names_for(found)
    return {names[name]: value for name, value in found.items() if value is not None and math.isfinite(value)}


def _final(final: FinalScored, winner: int | None) -> Iterator[tuple[str, float | None]]:
    """The winner's under their own names, those of the default configuration and of baselines under theirs."""
    if final.trial == winner and winner is not None:
        yield from final.metrics.items()
    elif final.trial is None or final.name == DEFAULT:
        yield from ((f"{final.name}/{name}", value) for name, value in final.metrics.items())

"""The sweeps of a comparison, and whether they compare at all."""

import string
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from raysweep import results
from raysweep.errors import ConfigError, InputError
from raysweep.folder import known_settings
from raysweep.goal import Goal
from raysweep.predictions import Kept
from raysweep.report.from_run import record_of
from raysweep.report.record import Record
from raysweep.results import Results
from raysweep.scoring import doc_of
from raysweep.views.words import metric

MOST = len(string.ascii_uppercase)


@dataclass(frozen=True)
class Contender:
    """One sweep."""

    letter: str
    """By which sentences and pictures call it."""
    found: Results
    record: Record
    kept: Kept | None
    """What its winner said of the test rows."""

    @property
    def title(self) -> str:
        """Letter, name and id."""
        return f"{self.letter}: {self.record.title} {self.found.state.sweep_id}"

    @property
    def fingerprint(self) -> str:
        """Of its rows and their split."""
        return self.found.state.started.data_fingerprint if self.found.state.started else ""

    @property
    def task(self) -> str:
        """The task's kind, and its labels where they are known."""
        config = known_settings(self.found.folder, self.found.state.started)
        if self.kept is not None:
            labels = f" of {', '.join(self.kept.task.labels)}" if self.kept.task.labels else ""
            return f"{self.kept.task.kind}{labels}"
        if config is None:
            return ""
        labels = f" of {', '.join(config.task.labels)}" if config.task.labels else ""
        return f"{config.task.kind}{labels}"

    def by(self, goal: Goal) -> Record:
        """Its record, with that metric's values for the trials' scores."""
        if goal == self.record.goal:
            return self.record
        trials = self.record.trials.assign(objective=self.record.numbers(goal.metric))
        return replace(self.record, goal=goal, trials=trials)

    def score(self, metric: str) -> float | None:
        """The winner's on validation; None where nothing has won, or it has none."""
        best = self.found.best
        if best is None:
            return None
        column = "objective" if metric == self.record.goal.metric else metric
        value = float(self.record.numbers(column)[self.record.trials["trial"].tolist().index(best.number)])
        return value if np.isfinite(value) else None

    def test_score(self, bare: str) -> float | None:
        """The winner's on the test split; None where that was not scored."""
        best = self.found.best
        scored = (one for one in self.found.finals if best and (one.trial, one.split) == (best.number, "test"))
        return next((one.metrics.get(f"test_{bare}") for one in scored), None)


@dataclass(frozen=True)
class Comparison:
    """Sweeps that compare by one metric."""

    contenders: tuple[Contender, ...]
    goal: Goal
    notes: tuple[str, ...]
    """What limits the comparison, in sentences."""

    @property
    def bare(self) -> str:
        """The metric without its split."""
        return self.goal.bare

    @cached_property
    def is_same_data(self) -> bool:
        """Whether all have the same rows in the same splits."""
        return len({one.fingerprint for one in self.contenders}) == 1


def compare(folders: Sequence[Path], metric: str | None = None) -> Comparison:
    """Read the sweeps and hold them against each other.

    Raises ConfigError where they do not compare: fewer than two, one twice, other tasks, objectives that differ where
    no metric is named, a metric that one of them has not made. Raises as `results.load` does.
    """
    if not 2 <= len(folders) <= MOST:
        raise ConfigError(f"compare: {len(folders)} sweeps; give 2 to {MOST}")
    if len(set(folders)) < len(folders):
        raise ConfigError("compare: the same sweep stands twice among these; give each once")
    contenders = tuple(map(_contender, string.ascii_uppercase, folders))
    _refuse_other_tasks(contenders)
    goal = _goal(contenders, metric)
    return Comparison(contenders, goal, tuple(_notes(contenders, goal)))


def _contender(letter: str, folder: Path) -> Contender:
    found = results.load(folder)
    record = record_of(found)
    try:
        kept = found.predictions
    except InputError:  # said in the record's notes
        kept = None
    return Contender(letter, found, record, kept)


def _refuse_other_tasks(contenders: Sequence[Contender]) -> None:
    known = {one.letter: one.task for one in contenders if one.task}
    kinds = {letter: task.partition(" of ")[0] for letter, task in known.items()}
    full = {letter: task for letter, task in known.items() if " of " in task}
    for told in (kinds, full):
        if len(set(told.values())) > 1:
            words = "; ".join(f"{letter} is a {known[letter]}" for letter in told)
            raise ConfigError(
                f"compare: these sweeps have other tasks, so their scores say nothing of each other: {words}"
            )


def _goal(contenders: Sequence[Contender], metric: str | None) -> Goal:
    goals = {one.letter: one.record.goal for one in contenders}
    common = [name for name in contenders[0].record.metrics if all(name in one.record.metrics for one in contenders)]
    if metric is None:
        first, *others = goals.values()
        if any(one != first for one in others):
            told = ", ".join(f"{letter} by {goal.metric} ({goal.mode})" for letter, goal in goals.items())
            raise ConfigError(
                f"compare: winners that were chosen by other metrics: {told}; name one by --metric; all have: "
                f"{', '.join(common) or 'none'}"
            )
        return first
    name = next((one for one in (metric, f"val_{metric}") if one in common), None)
    if name is None:
        raise ConfigError(f"compare: --metric {metric}: not all have made it; all have: {', '.join(common) or 'none'}")
    return _named(name, list(goals.values()))


def _named(name: str, goals: Sequence[Goal]) -> Goal:
    doc = doc_of(name.partition("_")[2])
    known = next((one for one in goals if one.metric == name), None)
    if known is not None:
        return known
    if doc is None:
        raise ConfigError(f"compare: --metric {name}: nobody has said whether more of it is better; name another")
    return Goal(name, doc.direction)


def _notes(contenders: Sequence[Contender], goal: Goal) -> list[str]:
    notes = []
    if len({one.fingerprint for one in contenders}) > 1:
        told = ", ".join(f"{one.letter} {one.fingerprint}" for one in contenders)
        notes.append(
            f"They do not have the same rows and splits (fingerprints: {told}): a difference may be one of the rows, "
            "not of the models."
        )
    others = [one for one in contenders if one.record.goal != goal]
    notes += [f"{one.letter}'s winner was chosen by {one.record.goal.metric}, not by {goal.metric}." for one in others]
    notes += [
        f"{one.letter}'s winner was chosen by its mean over {ruling.winner.n_seeds} seeds, "
        f"{metric(one.record.goal.metric, ruling.winner.mean)}; what stands here is of the search's seed."
        for one in contenders
        if (ruling := one.record.ruling) and ruling.winner.replicas
    ]
    notes += [f"{one.letter} is still running." for one in contenders if one.record.is_running]
    notes += [f"{one.letter}: {one.record.notice}" for one in contenders if one.record.notice]
    notes += [
        f"{one.letter}: no trial has completed, so it has no winner." for one in contenders if one.found.best is None
    ]
    return notes

"""What the suite for proposers runs: spaces with every kind of dimension, and sweeps by script that can crash."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import assert_never

from raysweep.encoding import decode, encode
from raysweep.entries import Entry, Evaluated, TrialEnded, TrialProposed
from raysweep.goal import Goal
from raysweep.jobs import Outcome
from raysweep.search.history import Done, History, Suggestion, Wait
from raysweep.search.propose import Proposer
from raysweep.space import Branch, Choice, Fixed, Integer, LogUniform, Params, QUniform, Space, Uniform

AT = datetime(2026, 1, 1, tzinfo=UTC)
"""When everything happens."""
_METRIC = "score"

DISCRETE = Space(
    {
        "rank": Integer("integer", 1, 64, log=True),
        "targets": Choice("choice", (("q", "v"), ("q", "k", "v", "o"), None)),
        "dropout": QUniform("quniform", 0.1, 0.3, 0.1),
        "batch_size": Fixed(8),
        "nested": Branch(
            "branch",
            {
                "plain": {"flag": Choice("choice", (True, False))},
                "deep": {"inner": Branch("branch", {"a": {"x": Integer("integer", -2, 2)}, "b": {"x": "fixed"}})},
            },
        ),
    }
)
"""Every kind of dimension that a grid can exhaust."""

MIXED = Space(
    {
        "learning_rate": LogUniform("loguniform", 1e-5, 1e-1),
        **DISCRETE.dimensions,
        "loss": Branch(
            "branch",
            {
                "cross_entropy": {"strength": Uniform("uniform", 0.0, 1.0)},
                "squared": {"strength": Uniform("uniform", 5.0, 6.0), "head": Choice("choice", ("linear", "mlp"))},
            },
        ),
    }
)
"""Every kind of dimension; two branches share a name."""

SMALL = Space(
    {"rank": Choice("choice", (4, 8)), "loss": Branch("branch", {"a": {"x": Integer("integer", 1, 2)}, "b": {}})}
)
"""Six points."""


class ScriptedSweep:
    """A sweep over a real History, whose trials fare by a script: a function of seed, number and params alone.

    Trials fail before anything was measured and after it, break with their host, are pruned, measure NaN and complete.
    `lines` is its record, as a ledger would hold it; `step` goes on by one line.
    """

    def __init__(
        self, proposer: Proposer, space: Space, *, n_trials: int, concurrency: int, lag: int | None, seed: int
    ) -> None:
        goal = Goal(_METRIC, "max")
        self._history = History(proposer, goal, n_trials=n_trials, concurrency=concurrency, lag=lag)
        self._space = space
        self._seed = seed
        self._n_evaluations: Counter[int] = Counter()
        self.lines: list[str] = []

    @property
    def suggestions(self) -> list[Params]:
        """What was proposed so far, without a trainer's defaults."""
        entries = map(decode, self.lines)
        return [self._space.project(entry.params) for entry in entries if isinstance(entry, TrialProposed)]

    def finish(self) -> "ScriptedSweep":
        """Itself, run to its end."""
        while self.step():
            pass
        return self

    def replay(self, lines: Sequence[str]) -> "ScriptedSweep":
        """Itself, after what the record of another sweep says."""
        for line in lines:
            self._take_up(decode(line))
            self.lines.append(line)
        return self

    def step(self) -> bool:
        """Whether anything was left to do."""
        answer = self._history.ask()
        match answer:
            case Suggestion():
                self._write(_proposed(answer, self._space))
            case Wait() | Done():
                if not self._history.running:
                    return False
                self._go_on(Random(f"{self._seed} {len(self.lines)}").choice(self._history.running))
            case _:
                assert_never(answer)
        return True

    def _go_on(self, trial: Suggestion) -> None:
        n_evaluations, outcome = _fate(trial.number)
        if self._n_evaluations[trial.number] < n_evaluations:
            value = self._measure(trial)
            entry: Entry = _evaluated(trial.number, self._n_evaluations[trial.number] + 1, value)
        else:
            entry = TrialEnded(AT, trial.number, outcome, "", None, None, 0)
        self._take_up(entry)
        self._write(entry)

    def _measure(self, trial: Suggestion) -> float:
        chance = Random(f"{self._seed} {trial.number} {self._n_evaluations[trial.number]}")
        numbers = [value for value in trial.params.values() if isinstance(value, int | float)]
        return math.nan if chance.random() < 0.1 else chance.gauss(-sum(map(abs, map(float, numbers))), 0.1)

    def _take_up(self, entry: Entry) -> None:
        match entry:
            case TrialProposed():
                self._history.adopt(entry.trial, self._space.project(entry.params))
            case Evaluated():
                self._n_evaluations[entry.trial] += 1
                value = entry.metrics[_METRIC]
                self._history.record(entry.trial, math.nan if value is None else value, entry.epoch)
            case TrialEnded():
                self._history.end(entry.trial, entry.outcome)
            case _:
                raise ValueError(f"{type(entry).__name__}: no entry of a scripted sweep")

    def _write(self, entry: Entry) -> None:
        self.lines.append(encode(entry))


def crashing(make: Callable[[], ScriptedSweep]) -> ScriptedSweep:
    """A sweep that crashes after every single event, and is taken up again from its record by a fresh one."""
    sweep = make()
    while sweep.step():
        sweep = make().replay(sweep.lines)
    return sweep


def _fate(number: int) -> tuple[int, Outcome]:
    """How many evaluations a trial has, and how it ends; the first one fails before anything is known."""
    fates = {
        0: (0, Outcome.FAILED),
        2: (1, Outcome.ERRORED),
        4: (1, Outcome.FAILED),
        5: (1, Outcome.PRUNED),
        6: (0, Outcome.ERRORED),
    }
    return fates.get(number % 8, (2, Outcome.COMPLETED))


def _proposed(suggestion: Suggestion, space: Space) -> TrialProposed:
    defaults = dict.fromkeys(space.names(), "a trainer's default")
    params = {**suggestion.params, **{name: value for name, value in defaults.items() if name not in suggestion.params}}
    return TrialProposed(AT, suggestion.number, 0, f"scripted-{suggestion.number}-0", params, space.searched())


def _evaluated(number: int, count: int, value: float) -> Evaluated:
    return Evaluated(AT, number, 0, float(count), count, count, {_METRIC: value if math.isfinite(value) else None})

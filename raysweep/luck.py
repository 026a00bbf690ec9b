"""What being chosen has given the winner's score on the validation rows, from all completed trials' answers to them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep import ranking
from raysweep.goal import Goal
from raysweep.scoring import Answers, Texts
from raysweep.scoring.intervals import Interval
from raysweep.scoring.selection import are_of_same_rows, chosen, values_of
from raysweep.state import SweepState
from raysweep.task import Task
from raysweep.trial_state import TrialState

ROUNDING = 1e-4
"""By so much an objective may differ from that of the kept answers, whose numbers have seven digits."""


@dataclass(frozen=True)
class Luck:
    """All of it in units of the objective."""

    trial: int
    """The winner."""
    metric: str
    """The objective's name, without its split."""
    n_trials: int
    """Completed ones, from which the winner was chosen."""
    n_rows: int
    """Of validation, from which the objective is made."""
    raw: Interval
    """What the winner scored on the rows that chose it, with the interval of one that nobody chose."""
    corrected: Interval
    """What it would score on rows that did not, and where that may lie (95 %)."""

    @property
    def value(self) -> float:
        """How much better being chosen made it look, never below zero."""
        return abs(self.raw.value - self.corrected.value)


def luck_of(state: SweepState, folder: Path) -> Luck | None:
    """Of the sweep in the folder; a second or so for a hundred trials of two thousand rows.

    None where not all completed trials' answers were kept, as by trainers that say nothing of single rows, or where the
    objective is not made from them: a loss at the host, or a metric of the user's own. Nor where replicas have made
    another trial the winner than the one that this score has chosen.
    """
    ranked, winner = state.ranked, state.best
    if winner is None or winner.number != ranked[0].number:
        return None
    trials = sorted(ranked, key=lambda trial: trial.number)
    kept = [ranking.find(ranking.folder_of(folder, trial.number)) for trial in trials]
    found = [one for one in kept if one is not None]
    if len(found) < max(2, len(kept)):
        return None
    task, models = found[0][0], [answers for _, answers in found]
    goal = Goal(state.bare_metric, state.goal.mode)
    if not _are_theirs(trials, task, models, goal.metric):
        return None
    best = chosen(task, models, goal)
    if best is None or trials[best.place] is not ranked[0]:
        return None
    answers = models[best.place]
    n_rows = answers.n_with(goal.metric) if isinstance(answers, Texts) else answers.n
    return Luck(ranked[0].number, goal.metric, len(models), n_rows, best.raw, best.corrected)


def _are_theirs(trials: Sequence[TrialState], task: Task, models: Sequence[Answers | Texts], metric: str) -> bool:
    """Whether the answers are to the same rows, and give the objectives that are on record."""
    if not are_of_same_rows(models):
        return False
    made = values_of(task, models, metric)
    told = [trial.ended.objective if trial.ended else None for trial in trials]
    return all(
        one is not None and math.isclose(one, value, rel_tol=ROUNDING, abs_tol=ROUNDING)
        for one, value in zip(told, made, strict=True)
    )

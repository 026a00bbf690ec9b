"""From validation to test: how much better the winner looked where it was chosen, and what would explain that."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from raysweep.certainty import Certainty
from raysweep.jobs import Outcome
from raysweep.state import SweepState


@dataclass(frozen=True)
class Gap:
    """All of it in units of the objective; what is above zero looked better on validation."""

    metric: str
    value: float
    """How much better the winner scored on validation than on test."""
    margin: float
    """Half of the 95 % interval of that, from the luck of both splits' rows alone."""
    by_selection: float
    """What choosing the best would give at most: were all trials equally good, and their luck independent."""
    n_trials: int
    """Completed ones, from which the winner was chosen."""

    @property
    def is_explained(self) -> bool:
        """Whether rows and selection can explain it."""
        return -self.margin <= self.value <= self.margin + self.by_selection


def gap_of(state: SweepState, found: Certainty | None) -> Gap | None:
    """None where the objective has no interval on test, or nobody knows how many rows ranked the trials.

    The validation rows' sampling error is that of the test rows, scaled by the square root of their numbers.
    """
    best = state.best
    if found is None or best is None or best.number != found.trial or best.ended is None:
        return None
    interval, chosen = found.intervals.get(state.bare_metric), best.ended.objective
    if interval is None or chosen is None or not found.n_validation:
        return None
    normal = NormalDist().inv_cdf((1 + interval.level) / 2)
    of_test = (interval.high - interval.low) / 2 / normal
    of_validation = of_test * math.sqrt(found.n_rows / found.n_validation)
    n_trials = sum(one.outcome is Outcome.COMPLETED for one in state.searched.values())
    return Gap(
        state.bare_metric,
        state.goal.loss(interval.value) - state.goal.loss(chosen),
        normal * math.hypot(of_test, of_validation),
        of_validation * expected_best(n_trials),
        n_trials,
    )


def expected_best(n: int) -> float:
    """Of n independent standard normal numbers, the mean of the largest, by Blom's formula (1958); 0 for one."""
    return NormalDist().inv_cdf((n - 0.375) / (n + 0.25)) if n > 1 else 0.0

"""From validation to test: how much better the winner looked where it was chosen, and what would explain that."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from raysweep.certainty import Certainty
from raysweep.jobs import Outcome
from raysweep.luck import Luck
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
    """What choosing the best has given; without `luck` only what it would give at most: were all trials equally good,
    and their luck independent."""
    n_trials: int
    """Completed ones, from which the winner was chosen."""
    luck: Luck | None = None
    """What choosing has given by the trials' own answers, where they were kept."""

    @property
    def is_explained(self) -> bool:
        """Whether rows and selection can explain it."""
        return -self.margin <= self.value <= self.margin + self.by_selection


def gap_of(state: SweepState, found: Certainty | None, luck: Luck | None = None) -> Gap | None:
    """None where the objective has no interval on test, or nobody knows how many rows ranked the trials.

    Without `luck` the validation rows' sampling error is that of the test rows, scaled by the square root of their
    numbers.
    """
    best = state.best
    if found is None or best is None or best.number != found.trial or best.ended is None:
        return None
    interval, chosen = found.intervals.get(state.bare_metric), best.ended.objective
    if interval is None or chosen is None or not found.n_validation:
        return None
    luck = luck if luck and luck.trial == best.number else None
    normal = NormalDist().inv_cdf((1 + interval.level) / 2)
    of_test = (interval.high - interval.low) / 2 / normal
    of_validation = of_test * math.sqrt(found.n_rows / found.n_validation)
    if luck:
        of_validation = (luck.raw.high - luck.raw.low) / 2 / normal
    n_trials = sum(one.outcome is Outcome.COMPLETED for one in state.searched.values())
    return Gap(
        state.bare_metric,
        state.goal.loss(interval.value) - state.goal.loss(chosen),
        normal * math.hypot(of_test, of_validation),
        luck.value if luck else of_validation * expected_best(n_trials),
        luck.n_trials if luck else n_trials,
        luck,
    )


def expected_best(n: int) -> float:
    """Of n independent standard normal numbers, the mean of the largest, by Blom's formula (1958); 0 for one."""
    return NormalDist().inv_cdf((n - 0.375) / (n + 0.25)) if n > 1 else 0.0

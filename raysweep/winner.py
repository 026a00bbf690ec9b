"""The winner's rule: who has won, by validation alone, and how sure that is; see decision 0011.

Validation chooses, the test split reports. A choice among k finalists by their test scores would be one more search:
the best of them would look better on test than it is, just as the best of all trials looked on validation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from raysweep.certainty import Certainty, Verdict
from raysweep.goal import Goal
from raysweep.scoring.intervals import LEVEL, Interval


@dataclass(frozen=True)
class Configuration:
    """A finalist's params, and what they scored on validation at the end of each job that ran to its own end."""

    trial: int
    """The search's own."""
    chosen: float
    """Its score, by which it became a finalist."""
    replicas: tuple[float, ...] = ()
    """The same params with fresh seeds."""
    n_failed: int = 0
    """Replicas that these params made fail."""
    tested: tuple[float, ...] = ()
    """On the test split, of those of its models that were scored: reported, never compared."""

    @property
    def mean(self) -> float:
        """Over all its seeds: what it goes by."""
        return fmean((self.chosen, *self.replicas))

    @property
    def spread(self) -> float | None:
        """The standard deviation from seed to seed; None for a single one."""
        return stdev((self.chosen, *self.replicas)) if self.replicas else None

    @property
    def n_seeds(self) -> int:
        """How many of its jobs have a score."""
        return 1 + len(self.replicas)


@dataclass(frozen=True)
class Ruling:
    """Who has won, and how sure that is."""

    order: tuple[Configuration, ...]
    """The winner first."""
    first: int
    """The trial with the best single score: the winner too, unless its replicas have unseated it."""
    compared: tuple[int, ...]
    """Trials with whose seeds the winner's were compared: those with replicas, failed ones only where it failed too."""
    tied: tuple[int, ...]
    """Of these, whose distance from the winner lies within what another seed does to either."""
    interval: Interval | None
    """Of the winner's own model on the test split."""
    to_runner_up: Verdict | None
    """By the difference on the same test rows; None where it was not measured."""
    to_default: Verdict | None
    """Likewise, from the default configuration."""
    is_default: bool
    """Whether the winner is the default configuration."""

    @property
    def winner(self) -> Configuration:
        """The configuration that is named."""
        return self.order[0]

    @property
    def foremost(self) -> Configuration:
        """The configuration with the best single score."""
        return next(one for one in self.order if one.trial == self.first)

    @property
    def unrepeated(self) -> Configuration | None:
        """The one with the best single score where it stands behind others for want of a second seed alone."""
        first = self.foremost
        is_so = first.trial != self.winner.trial and not first.replicas and not first.n_failed
        return first if is_so else None

    @property
    def ties(self) -> tuple[int, ...]:
        """The trials that may be as good: by their seeds, or the runner-up by the test rows."""
        by_test = (self.order[1].trial,) if self.to_runner_up is Verdict.TIE else ()
        return tuple(dict.fromkeys((*by_test, *self.tied)))


def order(finalists: Sequence[Configuration], goal: Goal) -> tuple[Configuration, ...]:
    """The winner first. `finalists`: by their single scores, the best first; only of completed trials.

    A configuration goes by its mean over all its seeds. Once any has replicas, those without stand behind: a single
    score that was picked as the best of many is too good to be held against a mean. One of whose replicas its params
    made fail stands behind all others.
    """
    return tuple(sorted(finalists, key=lambda one: (one.n_failed > 0, not one.replicas, goal.loss(one.mean))))


def rule(
    finalists: Sequence[Configuration], goal: Goal, *, test: Certainty | None = None, default: int | None = None
) -> Ruling | None:
    """Name the winner and say how sure that is; None without a finalist.

    `finalists`: as for `order`. `test`: what the test rows say of the winner and its rivals. It never changes who is
    named. `default`: the trial with the default configuration. Two configurations tie where their means differ by no
    more than `seed_margin`, or where the 95 % interval of their difference on the same test rows holds zero.
    """
    if not finalists:
        return None
    ordered = order(finalists, goal)
    winner = ordered[0]
    can_compare = [one for one in ordered[1:] if one.replicas and (winner.n_failed or not one.n_failed)]
    compared = can_compare if winner.replicas else []
    margins = {one.trial: seed_margin(winner, one, ordered) for one in compared}
    tied = tuple(one.trial for one in compared if abs(one.mean - winner.mean) <= margins[one.trial])
    said = test if test and test.trial == winner.trial else None
    second = ordered[1].trial if len(ordered) > 1 else None
    return Ruling(
        ordered,
        finalists[0].trial,
        tuple(one.trial for one in compared),
        tied,
        interval=said.intervals.get(said.metric) if said else None,
        to_runner_up=_verdict(said, second),
        to_default=_verdict(said, default),
        is_default=winner.trial == default,
    )


def seed_margin(one: Configuration, other: Configuration, among: Sequence[Configuration]) -> float:
    """By how much two means may differ through their seeds alone, 95 %: Student's t, spread pooled over all.

    Infinite where no two seeds of any configuration tell of a spread.
    """
    from scipy.special import stdtrit  # a search without replicas should not pay for loading it

    freedom = sum(each.n_seeds - 1 for each in among)
    if freedom == 0:
        return math.inf
    squares = sum((each.spread or 0.0) ** 2 * (each.n_seeds - 1) for each in among)
    quantile = float(stdtrit(freedom, (1 + LEVEL) / 2))
    return quantile * math.sqrt(squares / freedom * (1 / one.n_seeds + 1 / other.n_seeds))


def _verdict(said: Certainty | None, trial: int | None) -> Verdict | None:
    found = [one for one in said.comparisons if one.trial == trial] if said and trial is not None else []
    return found[0].verdict(found[0].judged_by(said.metric)) if said and found else None

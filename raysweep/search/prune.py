"""Asynchronous successive halving with rungs that are written down: poor trials stop, nobody waits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from raysweep.errors import ConfigError
from raysweep.goal import Goal


@dataclass(frozen=True)
class Continue:
    """The trial goes on."""


@dataclass(frozen=True)
class Stop:
    """The trial was not good enough at a rung."""

    rung: float
    """The rung's own resource."""
    cutoff: float
    """The worst value that would have gone on."""
    value: float

    def __str__(self) -> str:
        return f"{self.value:.4g} at rung {self.rung:g}, where {self.cutoff:.4g} was needed"


Decision = Continue | Stop


@dataclass(frozen=True)
class Rungs:
    """Where trials are compared: resources ascending, absolute or as fractions of a trial's own budget.

    The resource is epochs or examples, never optimiser steps: with another batch size a step is another amount of
    training.
    Raises ConfigError when they do not ascend from above zero, or a fraction is not below one.
    """

    levels: tuple[float, ...]
    is_relative: bool = False

    def __post_init__(self) -> None:
        if not self.levels or any(not math.isfinite(level) or level <= 0 for level in self.levels):
            raise ConfigError(f"rungs: {self.levels} must be numbers above zero; to stop nothing, switch pruning off")
        if any(low >= high for low, high in zip(self.levels, self.levels[1:], strict=False)):
            raise ConfigError(f"rungs: {self.levels} must ascend")
        if self.is_relative and self.levels[-1] >= 1:
            raise ConfigError(f"rungs: {self.levels[-1]:g} is not below 1; fractions lie below the trial's own budget")

    def within(self, budget: float) -> tuple[float, ...]:
        """The rungs of a trial with this budget, absolute; those at or above the budget are none."""
        levels = [level * budget for level in self.levels] if self.is_relative else self.levels
        return tuple(level for level in levels if level < budget)


class Pruner(Protocol):
    """Decides which trials go on. What it answers depends only on what it was asked before."""

    def rungs_for(self, budget: float) -> tuple[float, ...]:
        """Resources below the budget at which a trial should be evaluated."""
        ...

    def decide(self, number: int, resource: float, value: float, budget: float) -> Decision:
        """Whether the trial goes on after an evaluation; resource and budget in the unit of the rungs."""
        ...


class NoPruning:
    """Every trial runs to its end."""

    def rungs_for(self, budget: float) -> tuple[float, ...]:
        """None."""
        return ()

    def decide(self, number: int, resource: float, value: float, budget: float) -> Decision:
        """On."""
        return Continue()


class Threshold:
    """Stops a trial that is worse at a rung than the bound given for it; it sees nothing but the trial's own curve.

    Raises ConfigError unless there is one bound a rung.
    """

    def __init__(self, rungs: Rungs, bounds: Sequence[float], goal: Goal) -> None:
        if len(bounds) != len(rungs.levels):
            raise ConfigError(f"values: {list(bounds)} for the rungs {list(rungs.levels)}; give one a rung")
        self._rungs = rungs
        self._bounds = tuple(bounds)
        self._goal = goal

    def rungs_for(self, budget: float) -> tuple[float, ...]:
        """The trial's own rungs, absolute."""
        return self._rungs.within(budget)

    def decide(self, number: int, resource: float, value: float, budget: float) -> Decision:
        """Whether the value is as good as the highest rung that was reached demands; the last evaluation is none."""
        levels = self.rungs_for(budget)
        place = _highest_reached(levels, resource)
        if place < 0 or resource >= budget or self._is_good(value, self._bounds[place]):
            return Continue()
        return Stop(levels[place], self._bounds[place], value)

    def _is_good(self, value: float, bound: float) -> bool:
        return not math.isnan(value) and self._goal.reached(value, bound)


class Asha:
    """Stops a trial that is not among the best 1/eta of those that have come to its rung so far.

    Nobody is waited for: the first `min_arrivals - 1` trials at a rung always go on, so does a value equal to the
    cut-off. An evaluation counts for the highest rung that it has reached, once a trial; rungs that it jumped over do
    not judge it, nor does the last evaluation. A trial that was stopped stays stopped. NaN is worse than every number.
    The state is what `decide` was given, in order: give it the record again and it decides as before.
    """

    def __init__(self, rungs: Rungs, goal: Goal, *, eta: float = 3.0, min_arrivals: int = 2) -> None:
        if not eta > 1:
            raise ConfigError(f"eta: {eta:g} must be above 1; one trial in eta goes on")
        if min_arrivals < 2:
            raise ConfigError(
                f"min_arrivals: {min_arrivals} must be at least 2; the first has nobody to be compared with"
            )
        self._rungs = rungs
        self._goal = goal
        self._eta = eta
        self._min_arrivals = min_arrivals
        self._losses: list[list[float]] = [[] for _ in rungs.levels]
        self._passed: dict[int, int] = {}
        self._stopped: dict[int, Stop] = {}

    def rungs_for(self, budget: float) -> tuple[float, ...]:
        """The trial's own rungs, absolute."""
        return self._rungs.within(budget)

    def decide(self, number: int, resource: float, value: float, budget: float) -> Decision:
        """Whether the trial goes on; records the value where it counts for a rung."""
        if number in self._stopped:
            return self._stopped[number]
        if resource >= budget:
            return Continue()
        levels = self.rungs_for(budget)
        place = _highest_reached(levels, resource)
        if place <= self._passed.get(number, -1):
            return Continue()
        self._passed[number] = place
        loss = math.inf if math.isnan(value) else self._goal.loss(value)
        self._losses[place].append(loss)
        bound = cutoff(self._losses[place], self._eta, self._min_arrivals)
        if loss <= bound:
            return Continue()
        self._stopped[number] = Stop(levels[place], self._goal.loss(bound), value)
        return self._stopped[number]


def cutoff(losses: Sequence[float], eta: float, min_arrivals: int) -> float:
    """The greatest loss that goes on at a rung: that of the best 1/eta, of one trial at least; inf at first."""
    if len(losses) < min_arrivals:
        return math.inf
    n_kept = max(1, math.floor(len(losses) / eta + 1e-9))
    return sorted(losses)[n_kept - 1]


def _highest_reached(levels: Sequence[float], resource: float) -> int:
    slack = 1e-9  # 3 * (1 / 3) epochs may fall short of 1
    return sum(level <= resource * (1 + slack) for level in levels) - 1

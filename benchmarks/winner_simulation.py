"""How good the best of a sweep's trials is: what raysweep says of it, against what is true.

    python benchmarks/winner_simulation.py [--sweeps 2000] [--model coins|ratings] [--seed 0]

A sweep is 83 models' answers to the same validation rows, and to 500 test rows that choose nothing. Both are drawn
from models whose true scores are known. The product's own code then chooses the best, takes off what being chosen gave
it, and draws its intervals. `coins`: each answer is right with the model's own probability, and with a probability of
sqrt(rho) it takes the row's luck, which is the same for all. `ratings`: five labels, and label probabilities from the
row's rating with the model's noise, a part rho of which all models share.
"""

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np

from raysweep.goal import Goal
from raysweep.scoring import Answers, Texts
from raysweep.scoring.answers import Floats
from raysweep.scoring.intervals import Bootstrap, Interval, differences, intervals
from raysweep.scoring.selection import chosen, values_of
from raysweep.task import Task, TaskKind

N_TRIALS = 83
N_TEST = 500
N_RESAMPLES = 1_000
SPREADS = ("equal", "plateau", "normal")
POINTS = 100


@dataclass(frozen=True)
class Regime:
    spread: str
    n_validation: int
    rho: float
    """How much of the rows' luck all models share."""


class World(Protocol):
    """Models whose true scores are known."""

    task: Task

    def models(self, spread: str, rng: np.random.Generator) -> Floats:
        """One number a model, on which its answers depend."""
        ...

    def answers(
        self, models: Floats, n: int, rho: float, rng: np.random.Generator
    ) -> Sequence[Answers] | Sequence[Texts]:
        """All models' answers to n new rows."""
        ...

    def truth(self, model: float, metric: str) -> float:
        """The model's score on all possible rows."""
        ...


class Coins:
    """Right or wrong; a model is its accuracy."""

    task = Task(TaskKind.CLASSIFICATION, ("no", "yes"))

    def models(self, spread: str, rng: np.random.Generator) -> Floats:
        if spread == "equal":
            return np.full(N_TRIALS, 0.65)
        if spread == "plateau":
            return rng.permutation(np.concatenate([rng.normal(0.65, 0.01, 20), rng.uniform(0.25, 0.55, N_TRIALS - 20)]))
        return np.clip(rng.normal(0.65, 0.08, N_TRIALS), 0.02, 0.98)

    def answers(self, models: Floats, n: int, rho: float, rng: np.random.Generator) -> list[Answers]:
        luck = rng.random((len(models), n), dtype=np.float32)
        if rho:
            is_shared = rng.random(luck.shape, dtype=np.float32) < math.sqrt(rho)
            luck = np.where(is_shared, rng.random(n, dtype=np.float32), luck)
        right = rng.integers(2, size=n)
        said = np.where(luck < models[:, None], right, 1 - right)
        return [Answers(right, one, 2, np.empty(0), None, None) for one in said]

    def truth(self, model: float, metric: str) -> float:
        return model


class Ratings:
    """One to five, unevenly; a model is the noise that it adds to a row's rating before it gives probabilities."""

    task = Task(TaskKind.RATING, ("1", "2", "3", "4", "5"), (1.0, 2.0, 3.0, 4.0, 5.0))
    shares = (0.1, 0.1, 0.15, 0.3, 0.35)
    row_noise, width = 0.5, 0.7

    def __init__(self, metrics: Sequence[str], n_all: int = 400_000) -> None:
        """Scores each noise of a grid on so many rows that the score is known to a tenth of a point."""
        self.grid, rng = np.linspace(0.4, 2.2, 37), np.random.default_rng(99)
        known: dict[str, list[float]] = {name: [] for name in metrics}
        for noise in self.grid:
            said = self.answers(np.array([noise]), n_all, 0.0, rng)
            for name, values in known.items():
                values.append(float(values_of(self.task, said, name)[0]))
        self.known = {name: np.polyval(np.polyfit(self.grid, one, 6), self.grid) for name, one in known.items()}

    def models(self, spread: str, rng: np.random.Generator) -> Floats:
        if spread == "equal":
            return np.full(N_TRIALS, 0.9)
        if spread == "plateau":
            return rng.permutation(np.concatenate([rng.normal(0.9, 0.02, 20), rng.uniform(1.2, 2.0, N_TRIALS - 20)]))
        return np.clip(rng.normal(1.1, 0.15, N_TRIALS), 0.45, 2.1)

    def answers(self, models: Floats, n: int, rho: float, rng: np.random.Generator) -> list[Answers]:
        values = np.array(self.task.values)
        right = rng.choice(len(values), size=n, p=self.shares)
        noise = math.sqrt(rho) * rng.standard_normal(n) + math.sqrt(1 - rho) * rng.standard_normal((len(models), n))
        seen = np.clip(values[right] + self.row_noise * rng.standard_normal(n) + models[:, None] * noise, 0, 6)
        tables = np.exp(-((values - seen[..., None]) ** 2) / (2 * self.width**2))
        tables /= tables.sum(axis=2, keepdims=True)
        said = zip(tables, tables.argmax(axis=2), tables @ values, strict=True)
        return [Answers(right, likely, len(values), values, table, expected) for table, likely, expected in said]

    def truth(self, model: float, metric: str) -> float:
        return float(np.interp(model, self.grid, self.known[metric]))


@dataclass(frozen=True)
class Told:
    """What was said after one sweep, less the truth."""

    raw: float
    corrected: float
    has_raw: bool
    """Whether the winner's own interval on validation holds its true score."""
    has_corrected: bool
    has_test: bool
    has_difference: bool
    """Whether the interval of the difference from the runner-up, on test, holds the true one."""
    is_tie: bool
    is_explained: bool
    """Whether the gap to the test score lies within the luck of both splits' rows."""


def sweep(world: World, regime: Regime, goal: Goal, rng: np.random.Generator) -> Told:
    models = world.models(regime.spread, rng)
    said = world.answers(models, regime.n_validation, regime.rho, rng)
    found = chosen(world.task, said, goal, seed=int(rng.integers(2**31)))
    assert found is not None
    losses = values_of(world.task, said, goal.metric) * goal.loss(1.0)
    second = min((place for place in range(N_TRIALS) if place != found.place), key=losses.__getitem__)
    first_said, second_said = world.answers(models[[found.place, second]], N_TEST, regime.rho, rng)
    drawn = Bootstrap(int(rng.integers(2**31)), N_RESAMPLES, metrics=frozenset({goal.metric}))
    test = intervals(world.task, first_said, drawn)[goal.metric]
    apart = differences(world.task, first_said, second_said, drawn)[goal.metric]
    truth, of_second = (world.truth(models[place], goal.metric) for place in (found.place, second))
    margin = math.hypot(half(test), half(found.raw))
    gap = goal.loss(test.value) - goal.loss(found.raw.value)
    return Told(
        raw=found.raw.value - truth,
        corrected=found.corrected.value - truth,
        has_raw=holds(found.raw, truth),
        has_corrected=holds(found.corrected, truth),
        has_test=holds(test, truth),
        has_difference=holds(apart, truth - of_second),
        is_tie=apart.holds_zero,
        is_explained=-margin <= gap <= margin + abs(found.raw.value - found.corrected.value),
    )


def holds(interval: Interval, value: float) -> bool:
    return interval.low <= value <= interval.high


def half(interval: Interval) -> float:
    return (interval.high - interval.low) / 2


def regimes(sizes: Sequence[int], rhos: Sequence[float]) -> Iterator[Regime]:
    yield from (Regime(*one) for one in product(SPREADS, sizes, rhos))


HEAD = (
    f"{'objective':<13}{'scores':<9}{'n_val':>6}{'rho':>5} |{'raw':>7}{'corr.':>7} |{'raw':>6}{'corr.':>6} "
    f"|{'raw':>6}{'corr.':>6}{'test':>6}{'diff':>6} |{'tie':>6}{'expl.':>6}"
)


def row(goal: Goal, regime: Regime, told: Sequence[Told]) -> str:
    raw, corrected = (np.array(one) * POINTS for one in zip(*((one.raw, one.corrected) for one in told), strict=True))
    shares = np.array(
        [
            (one.has_raw, one.has_corrected, one.has_test, one.has_difference, one.is_tie, one.is_explained)
            for one in told
        ]
    ).mean(axis=0)
    rms = [math.sqrt(float((one**2).mean())) for one in (raw, corrected)]
    return (
        f"{goal.metric:<13}{regime.spread:<9}{regime.n_validation:>6}{regime.rho:>5} "
        f"|{raw.mean():>+7.2f}{corrected.mean():>+7.2f} |{rms[0]:>6.2f}{rms[1]:>6.2f} "
        f"|{''.join(f'{100 * one:>6.1f}' for one in shares[:4])} |{''.join(f'{100 * one:>6.1f}' for one in shares[4:])}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=2000, help="for each regime")
    parser.add_argument("--model", choices=("coins", "ratings"), default="coins")
    parser.add_argument("--sizes", type=int, nargs="+", default=None, help="validation rows")
    parser.add_argument("--rhos", type=float, nargs="+", default=(0.0, 0.5), help="share of the luck that is common")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    of_ratings = (Goal("f1_weighted", "max"), Goal("mse_expected", "min"))
    goals = (Goal("accuracy", "max"),) if options.model == "coins" else of_ratings
    world: World = Coins() if options.model == "coins" else Ratings([goal.metric for goal in goals])
    sizes = options.sizes or ((200, 500, 1000, 2000) if options.model == "coins" else (500,))
    print(f"{options.sweeps} sweeps a regime, {N_TRIALS} trials, {N_TEST} test rows")
    print(
        "in hundredths: bias, root mean square error | in %: 95 % intervals that hold the truth | ties, explained gaps"
    )
    print(HEAD, flush=True)
    began = time.monotonic()
    for goal, regime in product(goals, regimes(sizes, options.rhos)):
        rng = np.random.default_rng(
            [options.seed, *map(ord, regime.spread), regime.n_validation, round(10 * regime.rho)]
        )
        print(row(goal, regime, [sweep(world, regime, goal, rng) for _ in range(options.sweeps)]), flush=True)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()

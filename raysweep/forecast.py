"""What a sweep will take before it begins: tokens, money and time, at worst and as its early stopping lets expect."""

import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from raysweep.asking import Plan
from raysweep.clock import SimulatedClock
from raysweep.config import GridSearch, Threshold
from raysweep.dimensions import Params, ParamValue
from raysweep.jobs import DataRefs, Estimate, JobSpec, Outcome
from raysweep.plan import BUDGET, budget_epochs, evaluation_points
from raysweep.preflight import Ready, searched_values
from raysweep.search.draw import RandomProposer
from raysweep.search.history import History
from raysweep.search.prune import NoPruning, Pruner
from raysweep.search.simulate import Curve, CurvePoint, SimulatedTrial, simulate

COSTLY = (BUDGET, "model", "batch_size", "template", "system", "label_words")
"""The params by which one job may take more than another."""
SIMULATIONS = 20
"""So many sweeps are simulated; more change the mean of 24 trials by less than a twentieth."""


@dataclass(frozen=True)
class Total:
    """What a whole sweep takes."""

    trained_tokens: float
    usd: float
    """Its final scores included."""
    duration_s: float | None
    """None where nobody knows how long a job takes."""


@dataclass(frozen=True)
class Forecast:
    """What a sweep will take."""

    n_trials: int
    concurrency: int
    cheapest: Estimate
    """One job with the params that cost the least."""
    dearest: Estimate
    worst: Total
    """Every trial costs as much as the dearest, and runs to its end."""
    expected: Total | None
    """The mean of simulated sweeps; None where early stopping goes by values that nobody knows before."""
    final_usd: float
    """Of the final scores at most; 0 where there are none."""
    usually_usd: tuple[float, float] = (0.0, 0.0)
    """Between these two lie eight in ten simulated sweeps."""
    n_finalists: int = 1
    """How many models are scored at the end."""
    base_usd: float = 0.0
    """The part of `final_usd` that asking the untuned base model takes."""

    @property
    def is_paid(self) -> bool:
        """Whether anything costs money."""
        return self.dearest.usd is not None

    @property
    def least_usd(self) -> float:
        """Less than this pays for no job and its final scores."""
        best_usd = min(self.n_finalists * self.cheapest.final_usd, self.final_usd - self.base_usd)
        return (self.cheapest.usd or 0.0) + best_usd + self.base_usd


@dataclass(frozen=True)
class Forecaster:
    """Reckons for one sweep; asks no host."""

    ready: Ready
    n_trials: int

    def forecast(self) -> Forecast:
        """Worst and expected. Raises ConfigError where a price is missing."""
        n_trials = len(self._sweep(NoPruning(), seed=0))  # a grid may hold fewer than were asked for
        final = self.ready.config.final
        n_finalists = min(final.top, n_trials)
        final_usd = n_finalists * max(one.final_usd for one in self.estimates) if final.test else 0.0
        final_usd += self._base_usd
        dearest = max(self.estimates, key=lambda one: (one.usd or 0.0, one.trained_tokens))
        longest_s = max((one.duration_s for one in self.estimates if one.duration_s is not None), default=None)
        rounds = -(-n_trials // self.concurrency)
        worst = Total(
            n_trials * max(one.trained_tokens for one in self.estimates),
            n_trials * (dearest.usd or 0.0) + final_usd,
            None if longest_s is None else rounds * longest_s,
        )
        cheapest = min(self.estimates, key=lambda one: (one.usd or 0.0, one.trained_tokens))
        base_usd = self._base_usd
        if isinstance(self.ready.config.early_stopping, Threshold):
            nobody_knows = Forecast(n_trials, self.concurrency, cheapest, dearest, worst, None, final_usd)
            return replace(nobody_knows, n_finalists=n_finalists, base_usd=base_usd)
        sweeps = [self._sweep(self.ready.make_pruner(), seed) for seed in range(SIMULATIONS)]
        costs = sorted(sum(self._usd(trial) for trial in trials) + final_usd for trials in sweeps)
        expected = Total(
            statistics.fmean(sum(trial.tokens for trial in trials) for trials in sweeps),
            statistics.fmean(costs),
            None if longest_s is None else statistics.fmean(max(one.ended_s for one in trials) for trials in sweeps),
        )
        usual = (costs[len(costs) // 10], costs[-1 - len(costs) // 10])
        known = Forecast(n_trials, self.concurrency, cheapest, dearest, worst, expected, final_usd, usual)
        return replace(known, n_finalists=n_finalists, base_usd=base_usd)

    @property
    def concurrency(self) -> int:
        """How many at once, as far as that is known without a cluster."""
        capabilities, config = self.ready.capabilities, self.ready.config
        wished = config.concurrency or capabilities.concurrency or 1
        return max(1, min(wished, capabilities.max_concurrency or wished, self.n_trials))

    @cached_property
    def _base_usd(self) -> float:
        """Of the dearest base model."""
        plan = Plan(self.ready)
        return max(plan.usd(point) for point in self._points)

    @cached_property
    def estimates(self) -> Sequence[Estimate]:
        """Of a job at every combination of the values that make one job cost more than another."""
        return [self.estimate(point) for point in self._points]

    @cached_property
    def _points(self) -> Sequence[Params]:
        known = self.ready.defaults
        choices = {name: searched_values(self.ready.config.space, name) or (known[name],) for name in self._names}
        default = self.ready.complete(self.ready.space.default())
        points = [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
        return [{**known, **default, **point} for point in points]

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(name for name in COSTLY if name in self.ready.capabilities.params)

    @cached_property
    def _known(self) -> dict[tuple[ParamValue, ...], Estimate]:
        return {}

    def estimate(self, params: Params) -> Estimate:
        """Of a job with these params, reckoned once for all that cost the same."""
        key = tuple(params[name] for name in self._names)
        if key not in self._known:
            config, splits = self.ready.config, self.ready.loaded.splits
            points = evaluation_points(config, self.ready.make_pruner(), params)
            spec = JobSpec("forecast", 0, 1, params, config.seed, config.runs_folder, points)
            self._known[key] = self.ready.trainer.estimate(spec, DataRefs(splits.fingerprint, splits))
        return self._known[key]

    def _sweep(self, pruner: Pruner, seed: int) -> Sequence[SimulatedTrial]:
        """One simulated sweep: each trial is as good as a die says, from its first evaluation to its last."""
        ready, dice = self.ready, random.Random(seed)
        is_grid = isinstance(ready.config.search, GridSearch)
        proposer = ready.make_proposer() if is_grid else RandomProposer(ready.space, seed=seed)
        history = History(proposer, ready.config.goal, n_trials=self.n_trials, concurrency=self.concurrency)

        def curve(point: Params) -> Curve:
            return self._curve(ready.complete(point), pruner, quality=dice.random())

        return simulate(history, pruner, curve, workers=self.concurrency, clock=SimulatedClock()).trials

    def _curve(self, params: Params, pruner: Pruner, quality: float) -> Curve:
        estimate, budget = self.estimate(params), budget_epochs(params)
        epoch_s = (budget if estimate.duration_s is None else estimate.duration_s) / budget
        points, before = [], 0.0
        for epoch in evaluation_points(self.ready.config, pruner, params):
            tokens = round(estimate.trained_tokens * epoch / budget)
            points.append(CurvePoint((epoch - before) * epoch_s, epoch, quality, tokens))
            before = epoch
        return Curve(tuple(points))

    def _usd(self, trial: SimulatedTrial) -> float:
        estimate = self.estimate(self.ready.complete(trial.params))
        whole = estimate.usd or 0.0
        if trial.outcome is Outcome.COMPLETED or not estimate.trained_tokens:
            return whole
        return (whole - estimate.scoring_usd) * trial.tokens / estimate.trained_tokens

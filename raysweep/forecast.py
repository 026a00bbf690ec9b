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
from raysweep.tuning.purse import REPLICAS_SHARE

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
    """How many models of the search's own are scored at the end."""
    base_usd: float = 0.0
    """The part of `final_usd` that asking the untuned base model takes."""
    n_replicas: int = 0
    """How many replicas of the best are made after the search."""
    replicas_usd: float = 0.0
    """What they take at most, their final scores included."""

    @property
    def is_paid(self) -> bool:
        """Whether anything costs money."""
        return self.dearest.usd is not None

    @property
    def least_usd(self) -> float:
        """Less than this pays for no job and its final scores, beside what is kept back for replicas."""
        job_usd = self.cheapest.usd or 0.0
        best_usd = min(self.n_finalists * self.cheapest.final_usd, self.final_usd - self.base_usd)
        alone = job_usd + best_usd + self.base_usd
        kept = self.n_replicas * (job_usd + (self.cheapest.final_usd if best_usd else 0.0))
        return min(alone + kept, alone / (1 - REPLICAS_SHARE))


@dataclass(frozen=True)
class Forecaster:
    """Reckons for one sweep; asks no host."""

    ready: Ready
    n_trials: int

    def forecast(self) -> Forecast:
        """Worst and expected. Raises ConfigError where a price is missing."""
        n_trials = len(self._sweep(NoPruning(), seed=0))  # a grid may hold fewer than were asked for
        final = self.ready.config.final
        n_finalists = min(final.top + 1, n_trials)  # the default configuration is scored too
        each_usd = max(one.final_usd for one in self.estimates) if final.test else 0.0
        final_usd = n_finalists * each_usd + self._base_usd
        dearest = max(self.estimates, key=lambda one: (one.usd or 0.0, one.trained_tokens))
        replicas = self._replicas(min(final.top, n_trials) * final.replicas, each_usd)
        longest_s = max((one.duration_s for one in self.estimates if one.duration_s is not None), default=None)
        worst = Total(
            n_trials * max(one.trained_tokens for one in self.estimates) + replicas.trained_tokens,
            n_trials * (dearest.usd or 0.0) + final_usd + replicas.usd,
            None if longest_s is None else self._rounds(n_trials) * longest_s + (replicas.duration_s or 0.0),
        )
        forecast = Forecast(
            n_trials,
            self.concurrency,
            cheapest=min(self.estimates, key=lambda one: (one.usd or 0.0, one.trained_tokens)),
            dearest=dearest,
            worst=worst,
            expected=None,
            final_usd=final_usd,
            n_finalists=n_finalists,
            base_usd=self._base_usd,
            n_replicas=min(final.top, n_trials) * final.replicas,
            replicas_usd=replicas.usd,
        )
        if isinstance(self.ready.config.early_stopping, Threshold):
            return forecast
        return self._expected(forecast, replicas)

    def _expected(self, forecast: Forecast, replicas: Total) -> Forecast:
        """With what simulated sweeps take, and then their replicas at most."""
        sweeps = [self._sweep(self.ready.make_pruner(), seed) for seed in range(SIMULATIONS)]
        after_usd = forecast.final_usd + replicas.usd
        costs = sorted(sum(self._usd(trial) for trial in trials) + after_usd for trials in sweeps)
        searched_s = statistics.fmean(max(one.ended_s for one in trials) for trials in sweeps)
        expected = Total(
            statistics.fmean(sum(trial.tokens for trial in trials) for trials in sweeps) + replicas.trained_tokens,
            statistics.fmean(costs),
            None if forecast.worst.duration_s is None else searched_s + (replicas.duration_s or 0.0),
        )
        usual = (costs[len(costs) // 10], costs[-1 - len(costs) // 10])
        return replace(forecast, expected=expected, usually_usd=usual)

    def _replicas(self, n: int, final_usd: float) -> Total:
        """What so many replicas take at most, and their final scores."""
        usd = max(one.usd or 0.0 for one in self.estimates)
        longest_s = max((one.duration_s for one in self.estimates if one.duration_s is not None), default=0.0)
        tokens = max(one.trained_tokens for one in self.estimates)
        return Total(n * tokens, n * (usd + final_usd), self._rounds(n) * longest_s)

    def _rounds(self, n: int) -> int:
        return -(-n // self.concurrency)

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

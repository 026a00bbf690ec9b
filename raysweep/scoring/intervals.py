"""How sure a metric is, by the bootstrap over examples (Efron 1979): of one model, or of the difference of two.

Examples are drawn with replacement, as many as there are. For metrics of counts that is one multinomial draw over the
cells of the table, however many examples there are; a comparison draws each example once for both models.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from raysweep.scoring.answers import Answers, Floats
from raysweep.scoring.counts import cells, tally
from raysweep.scoring.metrics import counted_metrics, weighed_metrics
from raysweep.scoring.texts import OF_TEXTS, OF_WRITTEN, Texts, in_common
from raysweep.task import Task

LEVEL = 0.95
N_RESAMPLES = 10_000
N_RESAMPLES_BY_EXAMPLE = 2_000
"""For metrics that need every example: the ends of the interval are then known to about a thirtieth of its width."""
FEWEST = 6
"""Fewer rows cannot tell two models apart, even if all agree: by the sign test five do by chance in 1 of 16 cases."""
CHUNK = 2_000_000
"""Weights at once: 16 MB."""

M = TypeVar("M", Answers, Texts)


@dataclass(frozen=True)
class Interval:
    """A value and where it could as well have been, had other examples been drawn."""

    value: float
    low: float
    high: float
    level: float = LEVEL

    @property
    def holds_zero(self) -> bool:
        """For a difference: whether there may be none."""
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class Bootstrap:
    """How it is drawn; the same seed gives the same intervals."""

    seed: int = 0
    n_resamples: int = N_RESAMPLES
    n_by_example: int = N_RESAMPLES_BY_EXAMPLE
    level: float = LEVEL
    metrics: frozenset[str] | None = None
    """Their names; None: every one. Fewer take less time."""

    def takes(self, name: str) -> bool:
        """Whether the metric is asked for."""
        return self.metrics is None or name in self.metrics


def intervals(task: Task, answers: Answers | Texts, bootstrap: Bootstrap | None = None) -> dict[str, Interval]:
    """Of every metric that ships for the task; those that are undefined on these examples are left out.

    Where all answers are right, or all texts as right as the others, no resample shows anything else: the interval then
    reaches to where it is when as many examples are otherwise as these do not rule out (Clopper and Pearson 1934).
    """
    drawn, rng = bootstrap or Bootstrap(), _rng(bootstrap)
    if isinstance(answers, Texts):
        found = _defined(_by_example([answers], OF_TEXTS, drawn, rng))
        return found | {name: _as_a_share(found[name], answers.n_with(name)) for name in OF_WRITTEN if name in found}
    table = tally(answers)
    resampled = rng.multinomial(answers.n, table.ravel() / answers.n, drawn.n_resamples).reshape(-1, *table.shape)
    made = {
        name: _interval(metric(table, answers.values), metric(resampled.astype(np.float64), answers.values), drawn)
        for name, metric in counted_metrics(task).items()
        if drawn.takes(name)
    }
    if np.trace(table) == answers.n:
        worse = _with_errors(table, _hidden_share(answers.n, drawn.level))
        for name, one in _defined(made).items():
            end = float(counted_metrics(task)[name](worse, answers.values))
            made[name] = replace(one, low=min(one.low, end), high=max(one.high, end))
    made |= _by_example([answers], weighed_metrics(answers), drawn, rng)
    return _defined(made)


def differences(
    task: Task, first: Answers | Texts, second: Answers | Texts, bootstrap: Bootstrap | None = None
) -> dict[str, Interval]:
    """Of the first less the second, on the same examples, for every metric that both can give.

    Of fewer than FEWEST examples none lies on one side of zero. Raises ValueError where the examples are not the same.
    """
    drawn, rng = bootstrap or Bootstrap(), _rng(bootstrap)
    if isinstance(first, Texts) and isinstance(second, Texts):
        return _cautious(_by_example([*in_common(first, second)], OF_TEXTS, drawn, rng), first.n)
    if isinstance(first, Texts) or isinstance(second, Texts) or not np.array_equal(first.right, second.right):
        raise ValueError("a paired comparison needs two models' answers to the same examples")
    columns = first.n_labels + 1
    both = cells(first) * columns + cells(second) % columns  # right label, first's answer, second's answer
    shape = (first.n_labels, columns, columns)
    table = np.bincount(both, minlength=math.prod(shape))
    resampled = rng.multinomial(first.n, table / first.n, drawn.n_resamples).reshape(-1, *shape).astype(np.float64)
    ours, theirs = resampled.sum(axis=3), resampled.sum(axis=2)
    made = {
        name: _interval(
            metric(tally(first), first.values) - metric(tally(second), second.values),
            metric(ours, first.values) - metric(theirs, second.values),
            drawn,
        )
        for name, metric in counted_metrics(task).items()
        if drawn.takes(name)
    }
    common = {name: metric for name, metric in weighed_metrics(first).items() if name in weighed_metrics(second)}
    made |= _by_example([first, second], common, drawn, rng)
    return _cautious(made, first.n)


def _with_errors(table: Floats, share: float) -> Floats:
    """The table of a model that is always right, if it were wrong so often; each other label is as likely then."""
    worse, of_label = table.copy(), table.sum(axis=1, keepdims=True)
    worse[:, :-1] = (1 - share) * table[:, :-1] + share * (of_label - table[:, :-1]) / (len(table) - 1)
    return worse


def _hidden_share(n: int, level: float) -> float:
    """So many of all examples may be unlike n that are all alike."""
    return float(1 - ((1 - level) / 2) ** (1 / n))


def _as_a_share(one: Interval, n: int) -> Interval:
    """Of a metric from 0 to 1; as it is, unless no resample was any other."""
    if one.low < one.high:
        return one
    share = _hidden_share(n, one.level)
    return replace(one, low=one.value * (1 - share), high=one.value + share * (1 - one.value))


def _cautious(made: Mapping[str, Interval | None], n: int) -> dict[str, Interval]:
    found = _defined(made)
    if n >= FEWEST:
        return found
    return {name: replace(one, low=min(one.low, 0.0), high=max(one.high, 0.0)) for name, one in found.items()}


def _defined(made: Mapping[str, Interval | None]) -> dict[str, Interval]:
    return {name: interval for name, interval in made.items() if interval}


def _by_example(
    models: list[M],
    metrics: Mapping[str, Callable[[M, Floats], Floats]],
    drawn: Bootstrap,
    rng: np.random.Generator,
) -> dict[str, Interval | None]:
    """Of the first model, or of it less the second."""
    metrics = {name: metric for name, metric in metrics.items() if drawn.takes(name)}
    if not metrics:
        return {}
    once = np.ones((1, models[0].n))
    values = {name: _difference(metric, models, once) for name, metric in metrics.items()}
    parts: dict[str, list[Floats]] = {name: [] for name in metrics}
    for weights in _weights(models[0].n, drawn.n_by_example, rng):
        for name, metric in metrics.items():
            parts[name].append(_difference(metric, models, weights))
    return {name: _interval(values[name][0], np.concatenate(parts[name]), drawn) for name in metrics}


def _difference(metric: Callable[[M, Floats], Floats], models: list[M], weights: Floats) -> Floats:
    first, *others = (metric(model, weights) for model in models)
    return first - others[0] if others else first


def _weights(n: int, n_resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """(b, n) at a time: how often each example was drawn."""
    at_once = max(1, CHUNK // n)
    for start in range(0, n_resamples, at_once):
        b = min(at_once, n_resamples - start)
        drawn = rng.integers(n, size=(b, n)) + n * np.arange(b)[:, None]
        yield np.bincount(drawn.ravel(), minlength=b * n).reshape(b, n).astype(np.float64)


def _interval(value: Floats | float, resampled: Floats, drawn: Bootstrap) -> Interval | None:
    """Between quantiles; resamples on which the metric is undefined are left out."""
    defined = resampled[np.isfinite(resampled)]
    if not math.isfinite(value) or not defined.size:
        return None
    low, high = np.quantile(defined, [(1 - drawn.level) / 2, (1 + drawn.level) / 2])
    return Interval(float(value), float(low), float(high), drawn.level)


def _rng(bootstrap: Bootstrap | None) -> np.random.Generator:
    return np.random.default_rng((bootstrap or Bootstrap()).seed)

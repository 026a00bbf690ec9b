"""How good the best of many models is, from the rows that chose it and no others.

Whoever takes the best of many scores takes luck along. Here the rows are dealt into three parts, and each part is
answered by the model that the other two would have chosen: a row has no part in choosing who answers it. All answers
together are scored as one model's, many times over with other parts. Errors that models share, and how far the models
lie apart, are in the rows already; nothing is assumed of either.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from raysweep.goal import Goal
from raysweep.scoring.answers import Answers, Floats, Ints
from raysweep.scoring.counts import Counted, cells, tally
from raysweep.scoring.intervals import Bootstrap, Interval, intervals
from raysweep.scoring.metrics import counted_metrics, weighed_metrics
from raysweep.scoring.texts import OF_TEXTS, Texts
from raysweep.task import Task

N_PARTS = 3
"""With two parts the choice is among half the rows, and picks worse models than all rows would; with more parts the
answer depends more on chance. docs/decisions/0012 has the figures."""
N_DEALS = 25
N_RESAMPLES = 2_000

M = TypeVar("M", Answers, Texts)


@dataclass(frozen=True)
class Chosen:
    """The best of several models by their scores on the same rows."""

    place: int
    """Its place among the models; the earlier one's where two are equal."""
    raw: Interval
    """Its score on the rows that chose it, with the interval of a model that nobody chose."""
    corrected: Interval
    """Without what being chosen has given it, and where its score on all possible rows may lie: the worse end moves
    with the value, the better end stays, for being chosen may have given this one nothing."""


def chosen(task: Task, models: Sequence[Answers | Texts], goal: Goal, *, seed: int = 0) -> Chosen | None:
    """The best of the models by the goal's metric, named without a split, and what its score is worth.

    None where the metric is not made from examples, or not from these. Raises ValueError where the models did not
    answer the same examples.
    """
    if not are_of_same_rows(models):
        raise ValueError("the best of several needs all models' answers to the same examples")
    losses = values_of(task, models, goal.metric) * goal.loss(1.0)
    if np.isnan(losses).any():
        return None
    place = int(losses.argmin())
    drawn = Bootstrap(seed, N_RESAMPLES, metrics=frozenset({goal.metric}))
    own = intervals(task, models[place], drawn).get(goal.metric)
    if own is None:
        return None
    value = _unchosen(task, models, goal, np.random.default_rng(seed)) if len(models) > 1 else own.value
    if np.isnan(value):
        return None
    value = max(value, own.value, key=goal.loss)  # being chosen never harms
    shift = value - own.value
    return Chosen(place, own, Interval(value, own.low + min(shift, 0.0), own.high + max(shift, 0.0), own.level))


def are_of_same_rows(models: Sequence[Answers | Texts]) -> bool:
    """Whether all answered the same examples."""
    first = models[0]
    return all(type(one) is type(first) and np.array_equal(first.right, one.right) for one in models)


def values_of(task: Task, models: Sequence[Answers | Texts], metric: str) -> Floats:
    """(model,): one metric that ships, by its name without a split; NaN where these answers do not make it."""
    counted = counted_metrics(task).get(metric)
    return np.array([_value(one, metric, counted) for one in models])


def _value(model: Answers | Texts, metric: str, counted: Counted | None) -> float:
    once = np.ones((1, model.n))
    if isinstance(model, Texts):
        return float(OF_TEXTS[metric](model, once)[0]) if metric in OF_TEXTS else float("nan")
    if counted:
        return float(counted(tally(model), model.values))
    weighed = weighed_metrics(model).get(metric)
    return float(weighed(model, once)[0]) if weighed else float("nan")


def _unchosen(task: Task, models: Sequence[Answers | Texts], goal: Goal, rng: np.random.Generator) -> float:
    """The mean score over all deals of those who answered rows that had not chosen them."""
    deals = np.stack([rng.permutation(models[0].n) % N_PARTS for _ in range(N_DEALS)])
    counted = counted_metrics(task).get(goal.metric)
    answers = [one for one in models if isinstance(one, Answers)]
    texts = [one for one in models if isinstance(one, Texts)]
    if texts:
        made = _of_texts(texts, goal, deals)
    elif counted:
        made = _of_counts(answers, counted, goal, deals)
    else:
        made = _of_examples(answers, goal, deals)
    defined = made[np.isfinite(made)]
    return float(defined.mean()) if defined.size else float("nan")


def _of_counts(models: Sequence[Answers], metric: Counted, goal: Goal, deals: Ints) -> Floats:
    """(deal,): the score of all rows, each answered by whom the other parts would choose."""
    n, n_models, shape = models[0].n, len(models), (models[0].n_labels, models[0].n_labels + 1)
    n_cells, values = shape[0] * shape[1], models[0].values
    said = np.stack([cells(one) for one in models])
    places = said + n_cells * N_PARTS * np.arange(n_models)[:, None]
    made = []
    for deal in deals:
        counts = np.bincount((places + n_cells * deal).ravel(), minlength=n_models * N_PARTS * n_cells)
        parts = counts.reshape(n_models, N_PARTS, *shape).astype(np.float64)
        best = _best(metric(parts.sum(axis=1, keepdims=True) - parts, values), goal)
        joined = np.bincount(said[best[deal], np.arange(n)], minlength=n_cells).reshape(shape)
        made.append(metric(joined.astype(np.float64), values))
    return np.array(made)


def _of_examples(models: Sequence[Answers], goal: Goal, deals: Ints) -> Floats:
    """As `_of_counts`, for metrics that need every example by itself."""
    metric, once = weighed_metrics(models[0])[goal.metric], np.ones((1, models[0].n))
    return np.array([metric(_joined(models, one), once)[0] for one in _answering(models, metric, goal, deals)])


def _of_texts(models: Sequence[Texts], goal: Goal, deals: Ints) -> Floats:
    """Likewise, for free texts."""
    metric, once = OF_TEXTS[goal.metric], np.ones((1, models[0].n))
    return np.array([metric(_joined_texts(models, one), once)[0] for one in _answering(models, metric, goal, deals)])


def _answering(models: Sequence[M], metric: Callable[[M, Floats], Floats], goal: Goal, deals: Ints) -> Ints:
    """(deal, n): the model that answers each row."""
    weights = (deals[:, None, :] != np.arange(N_PARTS)[:, None]).astype(np.float64).reshape(-1, models[0].n)
    made = np.stack([metric(one, weights) for one in models])
    best = _best(made.reshape(len(models), len(deals), N_PARTS), goal)
    return np.stack([row[deal] for row, deal in zip(best, deals, strict=True)])


def _best(values: Floats, goal: Goal) -> Ints:
    """(...): which model, along the first axis; one whose value is undefined is the worst."""
    losses = values * goal.loss(1.0)
    best: Ints = np.where(np.isnan(losses), np.inf, losses).argmin(axis=0)
    return best


def _joined(models: Sequence[Answers], answering: Ints) -> Answers:
    """Answers of one model that gives each row to the model at that place."""
    order = [(models[place], np.flatnonzero(answering == place)) for place in np.unique(answering)]
    back = np.argsort(np.concatenate([rows for _, rows in order]))
    tables = [one.probabilities[rows] for one, rows in order if one.probabilities is not None]
    numbers = [one.expected[rows] for one, rows in order if one.expected is not None]
    return replace(
        models[0],
        predicted=np.concatenate([one.predicted[rows] for one, rows in order])[back],
        probabilities=np.concatenate(tables)[back] if len(tables) == len(order) else None,
        expected=np.concatenate(numbers)[back] if len(numbers) == len(order) else None,
    )


def _joined_texts(models: Sequence[Texts], answering: Ints) -> Texts:
    """Likewise."""
    rows = np.arange(models[0].n)

    def column(of: Callable[[Texts], Floats]) -> Floats:
        taken: Floats = np.stack([of(one) for one in models])[answering, rows]
        return taken

    return replace(
        models[0],
        matches=column(lambda one: one.matches),
        overlaps=column(lambda one: one.overlaps),
        losses=column(lambda one: one.losses),
        n_tokens=column(lambda one: one.n_tokens),
        grades=column(lambda one: one.grades),
    )

"""From predictions to metrics: one evaluator for every trainer, baseline and split."""

import logging
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from raysweep import plugins
from raysweep.errors import ConfigError, Fault, JobFailed
from raysweep.functions import find_function
from raysweep.task import OwnMetric, Task

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

UNREAD = -1
"""The predicted index of an answer that no label could be read from."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of one example."""

    probabilities: tuple[float, ...] | None
    """(n_labels,), in the task's order; None where the model gives none."""
    value: float | None = None
    """The expected rating, where the model answers with a number; else derived from the probabilities."""
    text: str | None = None
    """What it wrote, where it writes."""


@dataclass(frozen=True)
class MetricDoc:
    """What a metric means, and where it can be had."""

    direction: Literal["max", "min"]
    help: str
    needs_probabilities: bool = False
    """None for a model that gives only a value or a text."""
    rating_only: bool = False
    """Made only where labels have an order and numbers."""


METRICS: Mapping[str, MetricDoc] = MappingProxyType(
    {
        "accuracy": MetricDoc("max", "Share of rows whose most likely label is right."),
        "f1_weighted": MetricDoc("max", "F1 of each label, averaged by the label's share of the rows."),
        "f1_macro": MetricDoc("max", "F1 of each label, averaged with equal weights."),
        "log_loss": MetricDoc("min", "Mean negative log of the right label's probability.", needs_probabilities=True),
        "mse": MetricDoc("min", "Mean squared error of the most likely label.", rating_only=True),
        "mae": MetricDoc("min", "Mean absolute error of the most likely label.", rating_only=True),
        "qwk": MetricDoc("max", "Quadratic weighted kappa of the most likely label.", rating_only=True),
        "mse_expected": MetricDoc(
            "min",
            "Mean squared error of the expected rating: the model's own value, else the sum of p times value.",
            rating_only=True,
        ),
        "n_predicted_labels": MetricDoc("max", "How many different labels were predicted at all; 1 is a collapse."),
        "coverage": MetricDoc("max", "Share of rows whose answer could be read as one of the labels."),
    }
)
"""Every metric that ships, without the split's prefix; a task may bring more."""


def metrics_of(task: Task) -> tuple[str, ...]:
    """The names that `score` gives for such a task, its own metrics' last."""
    shipped = tuple(name for name, doc in METRICS.items() if task.is_ordered or not doc.rating_only)
    return shipped + tuple(one.name for one in task.metrics)


def score(
    task: Task, labels: Sequence[str] | Sequence[int], predictions: Sequence[Prediction], words: Sequence[str] = ()
) -> dict[str, float | None]:
    """Every metric of the task, by name; None where the predictions cannot give it.

    `labels` are the right ones, as strings or as indices; `words` are what a writing model was taught to say for
    each label (none: the labels). An answer that no label can be read from counts as wrong, and as the label
    furthest from the right one. Raises ValueError for lengths that differ, an unknown label, or a number that is
    not finite; for the task's own metrics whatever `own_scores` raises.
    """
    if not labels or len(labels) != len(predictions):
        raise ValueError(f"{len(labels)} labels and {len(predictions)} predictions: one each, and at least one row")
    right = np.array([_index(task, label) for label in labels], dtype=np.int64)
    probabilities = _probabilities(task, predictions)
    predicted = _predicted(task, predictions, probabilities, words or task.labels)
    metrics = _label_metrics(right, predicted) | {"log_loss": _log_loss(right, probabilities)}
    if task.is_ordered:
        metrics |= _rating_metrics(task, right, predicted)
        metrics["mse_expected"] = _mse_expected(task, right, predictions, probabilities)
    metrics |= own_scores(task, [task.labels[place] for place in right], predictions)
    return {name: metrics[name] for name in metrics_of(task)}


def own_scores(task: Task, labels: Sequence[str], predictions: Sequence[Prediction]) -> dict[str, float | None]:
    """The task's own metrics, by name; None where the function gives None or a number that is not finite.

    A function that breaks leaves None and a warning in the log, or raises JobFailed, the params' fault, where the
    sweep cannot do without: it was tried before the sweep began, so what breaks it now is what this model predicts.
    Raises ConfigError where the function cannot be imported on this machine.
    """
    made: dict[str, float | None] = {}
    for metric in task.metrics:
        try:
            made[metric.name] = call_own(metric, task, labels, predictions)
        except ValueError as error:
            if metric.is_needed:
                raise JobFailed(str(error), Fault.PARAMS) from error
            logger.warning("%s", error)
            made[metric.name] = None
    return made


def own_function(metric: OwnMetric) -> Callable[..., object]:
    """The metric's function; raises ConfigError where it cannot be imported on this machine."""
    try:
        return find_function(metric.function, plugins.METRICS, metric.folder)
    except ConfigError as error:
        raise ConfigError(f"metrics.{metric.name}: {error}") from error


def call_own(metric: OwnMetric, task: Task, labels: Sequence[str], predictions: Sequence[Prediction]) -> float | None:
    """What the metric's function says of these predictions; None also for a number that is not finite.

    Raises ConfigError where it cannot be imported, ValueError for whatever it raises or gives that is no number.
    """
    place = f"metrics.{metric.name}"
    function = own_function(metric)
    try:
        value = function(task, labels, predictions)
    except Exception as error:  # the function is the user's and may raise anything
        words = f"{type(error).__name__}: {error}"
        raise ValueError(f"{place}: {metric.function} broke: {words}; mend it, or let it return None there") from error
    if value is None:
        return None
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        given = f"{type(value).__name__} {value!r}"
        raise ValueError(  # noqa: TRY004  # one kind of error for all that a function can do wrong
            f"{place}: {metric.function} returned {given:.100}, not a number; make it a float, or None"
        )
    return float(value) if math.isfinite(value) else None


def _index(task: Task, label: str | int) -> int:
    if isinstance(label, str):
        return task.index(label)
    if not 0 <= label < len(task.labels):
        raise ValueError(f"label index {label} is outside 0..{len(task.labels) - 1}")
    return int(label)


def _probabilities(task: Task, predictions: Sequence[Prediction]) -> Floats:
    """(n, n_labels), each row summing to one; a row of NaN where a model gave none."""
    n_labels = len(task.labels)
    nothing = (math.nan,) * n_labels
    rows = [nothing if one.probabilities is None else one.probabilities for one in predictions]
    if any(len(row) != n_labels for row in rows):
        raise ValueError(f"every prediction needs {n_labels} probabilities, one a label")
    table = np.array(rows, dtype=np.float64)
    given = np.array([one.probabilities is not None for one in predictions])
    sums = table.sum(axis=1)
    good = np.isfinite(table).all(axis=1) & (table >= 0).all(axis=1) & (sums > 0)
    if not good[given].all():
        row = int(np.flatnonzero(given & ~good)[0])
        raise ValueError(f"prediction {row}: probabilities {rows[row]} must be finite, none negative, not all zero")
    normalised: Floats = table / sums[:, None]
    return normalised


def _predicted(task: Task, predictions: Sequence[Prediction], probabilities: Floats, words: Sequence[str]) -> Ints:
    most_likely = np.argmax(np.nan_to_num(probabilities, nan=-1.0), axis=1)
    places = {word.strip(): place for place, word in enumerate(words)}
    rows = [
        int(best) if one.probabilities is not None else _read(task, one, places)
        for one, best in zip(predictions, most_likely, strict=True)
    ]
    return np.array(rows, dtype=np.int64)


def _read(task: Task, prediction: Prediction, places: Mapping[str, int]) -> int:
    if prediction.value is not None and task.values:
        value = prediction.value
        if not math.isfinite(value):
            raise ValueError(f"a predicted value is {value}; it must be finite")
        return min(range(len(task.values)), key=lambda place: abs(task.values[place] - value))
    return places.get((prediction.text or "").strip(), UNREAD)


def _label_metrics(right: Ints, predicted: Ints) -> dict[str, float | None]:
    seen = np.union1d(right, predicted)
    seen = seen[seen != UNREAD]
    is_right, is_predicted = right == seen[:, None], predicted == seen[:, None]  # (n_seen, n)
    shares = is_right.mean(axis=1)
    f1 = 2 * (is_right & is_predicted).sum(axis=1) / (is_right.sum(axis=1) + is_predicted.sum(axis=1))
    return {
        "accuracy": float(np.mean(right == predicted)),
        "f1_weighted": float(f1 @ shares),
        "f1_macro": float(f1.mean()),
        "n_predicted_labels": float(np.unique(predicted[predicted != UNREAD]).size),
        "coverage": float(np.mean(predicted != UNREAD)),
    }


def _log_loss(right: Ints, probabilities: Floats) -> float | None:
    if np.isnan(probabilities).any():
        return None
    of_right = probabilities[np.arange(right.size), right]
    tiny = np.finfo(np.float64).eps  # a probability of 0 costs about 36, as in scikit-learn
    return float(-np.mean(np.log(np.clip(of_right, tiny, 1 - tiny))))


def _rating_metrics(task: Task, right: Ints, predicted: Ints) -> dict[str, float | None]:
    values = np.array(task.values)
    furthest = np.abs(values[:, None] - values[None, :]).argmax(axis=1)
    answered = np.where(predicted == UNREAD, furthest[right], predicted)
    errors = values[right] - values[answered]
    return {
        "mse": float(np.mean(errors**2)),
        "mae": float(np.mean(np.abs(errors))),
        "qwk": _kappa(right, answered),
    }


def _kappa(right: Ints, answered: Ints) -> float | None:
    """Quadratic weighted; None where both are one label throughout, and it is 0 / 0."""
    by_chance = right.var() + answered.var() + (right.mean() - answered.mean()) ** 2  # of each row with each
    return None if by_chance == 0 else float(1 - np.mean((right - answered) ** 2) / by_chance)


def _mse_expected(task: Task, right: Ints, predictions: Sequence[Prediction], probabilities: Floats) -> float | None:
    values = np.array(task.values)
    own = np.array([math.nan if one.value is None else one.value for one in predictions], dtype=np.float64)
    expected = np.where(np.isnan(own), probabilities @ values, own)
    return None if np.isnan(expected).any() else float(np.mean((expected - values[right]) ** 2))

"""Every metric that ships: what it means, which of them a task has, and their values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from raysweep.scoring import counts, weighing
from raysweep.scoring.answers import Answers, Prediction, read
from raysweep.scoring.own import own_scores
from raysweep.scoring.texts import Texts, read_texts, text_scores
from raysweep.task import Task

F1_OF = "f1_of_"
"""Before a label: that label's F1."""
GRADE = "grade"
"""Made where the task has a grader."""
MOST_LABELS = 20
"""A task with more has no metric for each of them."""


@dataclass(frozen=True)
class MetricDoc:
    """What a metric means, and where it can be had."""

    direction: Literal["max", "min"]
    help: str
    needs_probabilities: bool = False
    """None for a model that gives only a value or a text."""
    rating_only: bool = False
    """Made only where labels have an order and numbers."""
    text_only: bool = False
    """Made only of free texts."""


def _of_probabilities(direction: Literal["max", "min"], words: str) -> MetricDoc:
    return MetricDoc(direction, words, needs_probabilities=True)


def _of_ratings(direction: Literal["max", "min"], words: str) -> MetricDoc:
    return MetricDoc(direction, words, rating_only=True)


def _of_texts(direction: Literal["max", "min"], words: str) -> MetricDoc:
    return MetricDoc(direction, words, text_only=True)


METRICS: Mapping[str, MetricDoc] = MappingProxyType(
    {
        "accuracy": MetricDoc("max", "Share of rows whose most likely label is right."),
        "balanced_accuracy": MetricDoc("max", "Recall of each label that occurs, averaged with equal weights."),
        "f1_weighted": MetricDoc("max", "F1 of each label, averaged by the label's share of the rows."),
        "f1_macro": MetricDoc("max", "F1 of each label, averaged with equal weights."),
        "precision_macro": MetricDoc("max", "Precision of each label, averaged with equal weights."),
        "recall_macro": MetricDoc("max", "Recall of each label that occurs or is predicted, averaged likewise."),
        "log_loss": _of_probabilities("min", "Mean negative log of the right label's probability."),
        "brier": _of_probabilities("min", "Mean squared distance of the probabilities from what is right."),
        "ece": _of_probabilities("min", "How far the most likely label's probability is from how often it is right."),
        "auroc": _of_probabilities("max", "Area under the ROC curve, each label against the rest, averaged."),
        "mse": _of_ratings("min", "Mean squared error of the most likely label."),
        "mae": _of_ratings("min", "Mean absolute error of the most likely label."),
        "rmse": _of_ratings("min", "Square root of the mean squared error of the most likely label."),
        "qwk": _of_ratings("max", "Quadratic weighted kappa of the most likely label."),
        "spearman": _of_ratings("max", "Correlation of ranks of the most likely and the right label."),
        "mse_expected": _of_ratings(
            "min", "Mean squared error of the expected rating: the model's own value, else the sum of p times value."
        ),
        "mae_expected": _of_ratings("min", "Mean absolute error of the expected rating."),
        "rmse_expected": _of_ratings("min", "Square root of the mean squared error of the expected rating."),
        "qwk_expected": _of_ratings("max", "Quadratic weighted kappa of the expected rating (Lin's concordance)."),
        "spearman_expected": _of_ratings("max", "Correlation of ranks of the expected and the right rating."),
        "n_predicted_labels": MetricDoc("max", "How many different labels were predicted at all; 1 is a collapse."),
        "coverage": MetricDoc("max", "Share of rows whose answer could be read as one of the labels."),
        "exact_match": _of_texts("max", "Share of texts that are right but for case, punctuation and articles."),
        "token_f1": _of_texts("max", "F1 of the words that the text written and the right one share, averaged."),
        "loss": _of_texts("min", "Mean negative log-likelihood of the right completion, per token."),
        "perplexity": _of_texts("min", "e to the power of the loss."),
        "grade": _of_texts("max", "Mean grade of the texts, by the task's own grader."),
    }
)
"""Every metric with a name of its own, without the split's prefix; F1 of each label besides, and a task's own."""


def doc_of(name: str) -> MetricDoc | None:
    """What is known of a metric, by its name without the split's prefix."""
    if name.startswith(F1_OF):
        return MetricDoc("max", f"F1 of the label {name.removeprefix(F1_OF)}.")
    return METRICS.get(name)


def shipped_metrics(task: Task) -> tuple[str, ...]:
    """The names that ship for such a task."""
    if task.writing is not None:
        is_graded = task.writing.grader is not None
        return tuple(name for name, doc in METRICS.items() if doc.text_only and (is_graded or name != GRADE))
    of_labels = {name: doc for name, doc in METRICS.items() if not doc.text_only}
    named = tuple(name for name, doc in of_labels.items() if task.is_ordered or not doc.rating_only)
    each = tuple(f"{F1_OF}{label}" for label in task.labels) if len(task.labels) <= MOST_LABELS else ()
    return named + each


def metrics_of(task: Task) -> tuple[str, ...]:
    """The names that `score` gives for such a task, its own metrics' last."""
    return shipped_metrics(task) + tuple(one.name for one in task.metrics)


def answers_of(task: Task, labels: Sequence[str] | Sequence[int], predictions: Sequence[Prediction]) -> Answers | Texts:
    """The predictions as arrays, of labels or of free texts; raises as `read` and `read_texts` do."""
    if task.writing is not None:
        return read_texts([str(label) for label in labels], predictions)
    return read(task, labels, predictions)


def score(
    task: Task, labels: Sequence[str] | Sequence[int], predictions: Sequence[Prediction], words: Sequence[str] = ()
) -> dict[str, float | None]:
    """Every metric of the task, by name; None where the predictions cannot give it.

    `labels` are the right ones, as strings or as indices, or the right free texts; `words` are what a model was taught
    to say for each label (none: the labels). An answer that no label can be read from counts as wrong, and as the label
    furthest from the right one. Raises ValueError for lengths that differ, an unknown label, or a number that is
    not finite; for the task's own metrics whatever `own_scores` raises.
    """
    if task.writing is not None:
        right = [str(label) for label in labels]
        of_texts = text_scores(read_texts(right, predictions))
        return {name: of_texts[name] for name in shipped_metrics(task)} | own_scores(task, right, predictions)
    answers = read(task, labels, predictions, words)
    made = shipped_scores(task, answers)
    return made | own_scores(task, [task.labels[place] for place in answers.right], predictions)


def shipped_scores(task: Task, answers: Answers) -> dict[str, float | None]:
    """Every metric that ships for the task; None where it is undefined, or the predictions cannot give it."""
    table, once = counts.tally(answers), np.ones((1, answers.n))
    counted = {name: float(metric(table, answers.values)) for name, metric in counted_metrics(task).items()}
    weighed = {name: float(metric(answers, once)[0]) for name, metric in weighed_metrics(answers).items()}
    made = counted | weighed
    return {name: _number(made.get(name, math.nan)) for name in shipped_metrics(task)}


def counted_metrics(task: Task) -> Mapping[str, counts.Counted]:
    """Those that need no more than a table of counts."""
    of_ratings = counts.OF_RATINGS if task.is_ordered else {}
    made = {**counts.OF_LABELS, **of_ratings}
    made |= {f"{F1_OF}{label}": counts.of_one_label(place) for place, label in enumerate(task.labels)}
    return {name: made[name] for name in shipped_metrics(task) if name in made}


def weighed_metrics(answers: Answers) -> Mapping[str, weighing.Weighed]:
    """Those that need every example, as far as the answers can give them."""
    of_probabilities = weighing.OF_PROBABILITIES if answers.probabilities is not None else {}
    of_expected = weighing.OF_EXPECTED if answers.expected is not None else {}
    return {**of_probabilities, **of_expected}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
